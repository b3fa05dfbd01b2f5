namespace Portal.Web.Train;

/// <summary>A named set of advanced settings.</summary>
/// <param name="Key">Names the text <c>Preset.{Key}</c>.</param>
public sealed record TrainingPreset(string Key, Action<TrainingInput> Apply);

/// <summary>The presets of the form. Rates are those measured on the demo's model of about a million parameters.</summary>
public static class TrainingPresets
{
    public static readonly IReadOnlyList<TrainingPreset> All =
    [
        new("Usual", static input =>
        {
            (input.RewardLearningRate, input.RewardEpochs, input.RewardBatch, input.UseMargins) = (1e-3, 2, 64, false);
            (input.PolicyLearningRate, input.PolicyEpochs, input.PolicyBatch, input.LabelSmoothing) = (3e-4, 1, 32, 0);
        }),
        // Few votes: smaller batches give the same number of steps, and some votes are assumed to be wrong.
        new("FewVotes", static input =>
        {
            (input.RewardLearningRate, input.RewardEpochs, input.RewardBatch, input.UseMargins) = (5e-4, 3, 16, false);
            (input.PolicyLearningRate, input.PolicyEpochs, input.PolicyBatch, input.LabelSmoothing) = (2e-4, 2, 16, 0.1);
        }),
        // Too high a rate on purpose: shows what over-optimisation looks like on the results page.
        new("TooBold", static input => (input.PolicyLearningRate, input.PolicyEpochs, input.PolicyBatch, input.LabelSmoothing) = (1e-3, 1, 32, 0)),
    ];
}
