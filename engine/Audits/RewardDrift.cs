using Portal.Data.Audits;
using Portal.Engine.Irl;
using Portal.Engine.Statistics;

namespace Portal.Engine.Audits;

/// <summary>A text of a common test prompt.</summary>
/// <param name="Version">Which version wrote it, from 0; null: the base.</param>
/// <param name="KlNats">Its log-ratio to the base; null where not known.</param>
internal sealed record DriftText(string Prompt, int? Version, double LengthTokens, bool Refuses, double? KlNats);

/// <summary>How rewards and answers of several versions differ, from texts of the same prompts scored under every version's reward.</summary>
/// <remarks>
/// Prompts count alike: all numbers are means over prompts of a prompt's mean, and differences of two versions are paired by prompt. A step is marked where its paired t test over prompts is below the level after
/// Holm's correction over all steps of all trajectories: neighbours only, so a slow drift may pass unmarked while the first and the last version are far apart (the distances and values say so). What each version
/// makes of its own reward has no steps: the unit differs from version to version. Source: specs/fairl.md §5, block 6.
/// </remarks>
internal static class RewardDrift
{
    /// <summary>Family-wise error of the marks.</summary>
    public const double Level = 0.05;

    /// <summary>Computes it.</summary>
    /// <param name="texts">Prompt after prompt; of each prompt at least one of every version, and two of the base.</param>
    /// <param name="scores">Of all texts under each version's reward. [k][texts].</param>
    public static DriftReport Compute(IReadOnlyList<DriftVersion> versions, IReadOnlyList<DriftText> texts, IReadOnlyList<double[]> scores, SeededRandom random)
    {
        var prompts = texts.Index().GroupBy(text => text.Item.Prompt, StringComparer.Ordinal).Select(prompt => prompt.Select(text => text.Index).ToArray()).ToArray();
        var sets = CandidateSets.Uniform([.. prompts.Select(prompt => prompt.Length)]);
        IReadOnlyList<IReadOnlyList<AuditInterval?>> distances = [.. scores.Select(first => (IReadOnlyList<AuditInterval?>)[.. scores.Select(second => Findings.Of(RewardDistance.Interval(sets, first, second, random)))])];
        double[][] scaled = [.. scores.Select(own => Scaled(own, texts, prompts))];
        var rows = new (string Name, Func<int, int, double?> Of, bool HasSteps)[]
        {
            (DriftTrajectory.FixedReward, (_, text) => scaled[0][text], true), (DriftTrajectory.OwnReward, (version, text) => scaled[version][text], false), (DriftTrajectory.LengthTokens, (_, text) => texts[text].LengthTokens, true),
            (DriftTrajectory.RefusalShare, (_, text) => texts[text].Refuses ? 1 : 0, true), (DriftTrajectory.KlNats, (_, text) => texts[text].KlNats, true),
        }.Select(row => (row.Name, row.HasSteps, Means: versions.Select((_, version) => Means(version, row.Of)).ToArray())).ToArray();
        var steps = rows.Select(row => !row.HasSteps ? [] : row.Means.Zip(row.Means.Skip(1), Step).ToArray()).ToArray();
        var adjusted = new Queue<double>(Holm.Adjust([.. steps.SelectMany(own => own).OfType<(AuditInterval Difference, double P)>().Select(step => step.P)]));
        return new DriftReport(versions, distances,
        [
            .. rows.Zip(steps, (row, own) => new DriftTrajectory(row.Name, [.. row.Means.Select(means => means is null ? null : Findings.Of(Bootstrap.Mean(means, null, random)))],
                [.. own.Select(step => step is not var (difference, p) ? null : adjusted.Dequeue() is var holm ? new DriftStep(difference, p, holm, holm < Level) : null)])),
        ], Level);

        // A prompt's mean over the version's texts, prompt by prompt; null where one text's number is not known.
        double[]? Means(int version, Func<int, int, double?> of)
        {
            double?[] means = [.. prompts.Select(prompt => prompt.Where(text => texts[text].Version == version).Select(text => of(version, text)).ToArray() is var own && own.All(value => value is not null) ? own.Average() : null)];
            return means.All(mean => mean is not null) ? [.. means.Select(mean => mean!.Value)] : null; // none is null here
        }

        (AuditInterval Difference, double P)? Step(double[]? earlier, double[]? later)
        {
            if (earlier is null || later is null)
                return null;
            double[] differences = [.. later.Zip(earlier, (b, a) => b - a)];
            return (Findings.Of(Bootstrap.Mean(differences, null, random))!, StudentT.PairedP(differences)); // of a value: never absent
        }
    }

    // Deviations among the base's answers to a prompt, from the base's mean; a reward that tells them not apart stays in its own unit.
    private static double[] Scaled(double[] scores, IReadOnlyList<DriftText> texts, int[][] prompts)
    {
        double[][] ofBase = [.. prompts.Select(prompt => prompt.Where(text => texts[text].Version is null).Select(text => scores[text]).ToArray())];
        var (centre, within) = (ofBase.SelectMany(own => own).Average(), SampleDeviation.Within(ofBase));
        return [.. scores.Select(score => (score - centre) / (within > 0 ? within : 1))];
    }
}
