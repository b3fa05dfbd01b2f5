using Portal.Data;
using Portal.Data.Serving;

namespace Portal.Tests.Web.SaeFeatures;

/// <summary>What the fake door answers to previews: figures that follow from the request, so that a page can be seen to change with it. They measure nothing.</summary>
internal static class FakePreview
{
    /// <summary>The pairs that are listed as flipped.</summary>
    public static IReadOnlyList<(PromptId Prompt, ResponseId Chosen, ResponseId Rejected)> Flipped { get; set; } = [];

    /// <summary>The further factors stray from 1, the more pairs flip: ten for each unit.</summary>
    public static TogglePreviewResponse Of(TogglePreviewRequest request)
    {
        var far = request.Toggles!.Sum(toggle => Math.Abs(toggle.Multiplier - 1));
        var flips = (int)Math.Round(10 * far);
        var hasTarget = !string.IsNullOrWhiteSpace(request.Target);
        return new TogglePreviewResponse(request.Model!, 120, Change(120, 40, .7, .01 * far), hasTarget ? Change(36, 14, .6, .08 * far) : null, hasTarget ? Change(84, 5, .74, -.002 * far) : null,
            Change(60, 22, .65, .03 * far), flips, hasTarget ? flips / 2 : null,
            [.. Flipped.Take(request.FlipsMax).Select((pair, at) => new FlippedPair(pair.Prompt, pair.Chosen, pair.Rejected, -.61 + (.1 * at), .41, at % 2 == 0 ? .4 + (.05 * at) : null, at % 2 == 1))],
            new RewardShift(400, 88, .11 * far, .12 * far, [-2, -1, 0, 1, 2], [40, 160, 140, 60], [30, 150, 150, 70]),
            [
                new ToggleControl("random", hasTarget ? new Estimated(.002, -.019, .023) : null, hasTarget ? new Estimated(-.004, -.009, .001) : null, 4.2, 20, "Random features of equal size change less on target."),
                new ToggleControl("matched_reward", hasTarget ? new Estimated(.42, .31, .53) : null, hasTarget ? new Estimated(.05, .02, .09) : null, null, 210, "They fire on target far more often at equal reward."),
            ],
            [.. new[] { 0, .5, 1, 1.5, 2 }.Select(s => Dose(s, hasTarget ? Change(36, 14, .6, .08 * far * s).After : null, hasTarget ? Change(84, 5, .74, -.002 * far * s).After : null,
                Change(120, 40, .7, .01 * far * s).After!, (int)(flips * s)))], // there are pairs
            far > 2 ? ["Beyond this the toggled features decide alone; effects there are guesses."] : []);
    }

    private static DosePoint Dose(double strength, Estimated? on, Estimated? off, Estimated all, int flips) =>
        new(strength, on?.Value, off?.Value, all.Value, flips, Range95.Of(on), Range95.Of(off), Range95.Of(all));

    /// <summary>An interval only where there are prompts enough, as the door promises.</summary>
    private static AccuracyChange Change(int pairs, int prompts, double before, double by)
    {
        return new(pairs, prompts, Number(before, .05), Number(before + by, .05), Number(by, .03));

        Estimated Number(double value, double reach) => prompts < Portal.Data.Registry.MetricNames.PromptsForInterval ? new(value, null, null) : new(value, value - reach, value + reach);
    }
}
