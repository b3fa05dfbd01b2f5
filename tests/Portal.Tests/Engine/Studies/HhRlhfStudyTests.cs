using System.Globalization;
using Portal.Engine.Datasets;
using Portal.Engine.Studies;
using Xunit;

namespace Portal.Tests.Engine.Studies;

/// <summary>
/// Real preferences: one seed of the study in miniature, as <c>./bench evidence hh-rlhf --quick --seeds 1</c> runs it, and every pair of the file.
/// </summary>
[Trait("Speed", "slow")]
public sealed class HhRlhfStudyTests
{
    private const int PairCount = 2_312;

    [SharedFact]
    public async Task A_reward_model_trains_on_real_pairs_and_is_reported_beside_its_baselines()
    {
        var (rows, said) = await BuiltEngine.Study("hh-rlhf", "--shared", SharedData.Root!); // there, or this is skipped
        StudyRow Row(string measure) => rows.Single(row => row.Measure == measure);

        var refused = (int)Row("pairs refused, each with row, field and reason").Value;
        Assert.Equal(PairCount, Row("pairs in the file").Value);
        Assert.Equal(refused, said.Split('\n').Count(line => line.StartsWith("Warning: ", StringComparison.Ordinal)));
        Assert.Equal(32, Row("pairs trained on").Value);
        Assert.InRange(Row("share of texts that lost their beginning to fit 512 tokens").Value, 0.1, 0.5);
        var measured = new[] { Row("reward model, held-out accuracy"), Row("length only"), Row("bag of words") };
        Assert.All(measured, row => Assert.True(row.Interval is { } interval && 0 < interval.Low && interval.Low < row.Value && row.Value < interval.High && interval.High < 1));
        Assert.All(measured, row => Assert.Equal(24, row.Interval!.Value.Count)); // has one, see above
        Assert.Contains("training 1/1", said, StringComparison.Ordinal); // 32 pairs are one step: none was left out for its length
        Notes.Write(string.Create(CultureInfo.InvariantCulture, $"hh-rlhf in small, seed 1: {PairCount - refused} of {PairCount} pairs; 32 trained, 24 held out: accuracy {measured[0].Value:F3}, length only {measured[1].Value:F3}, bag of words {measured[2].Value:F3}"));
    }

    [SharedFact]
    public async Task Without_the_folder_the_study_says_what_is_missing()
    {
        var empty = Directory.CreateTempSubdirectory("portal-hh-");
        try
        {
            var (code, _, errors) = await BuiltEngine.Run(TimeSpan.FromMinutes(3), "evidence", "hh-rlhf", "--assets", empty.FullName, "--work", empty.FullName, "--seeds", "1", "--shared", empty.FullName);

            Assert.Equal((1, $"--shared: {Path.Combine(empty.FullName, "data/preferences/hh-rlhf_harmless-base_test.jsonl.gz")} is not there."), (code, errors.Trim()));
        }
        finally
        {
            empty.Delete(recursive: true);
        }
    }

    /// <summary>All 2,312 are read or refused, each refused one with its row, its field and a reason; and no prompt stands on both sides of the split.</summary>
    [SharedFact]
    public void Every_pair_is_read_or_refused_with_row_field_and_reason()
    {
        var file = DatasetFile.Read(SharedData.Path("data/preferences/hh-rlhf_harmless-base_test.jsonl.gz"), CancellationToken.None);
        var rows = file.Pairs(heldOutShare: 0.2, splitSeed: 1, new Dictionary<string, int>());
        var trained = rows.Train.Select(pair => pair.PromptKey).ToHashSet(StringComparer.Ordinal);

        Assert.Equal(PairCount, file.Rows.Count + file.Problems.Select(problem => problem.Row).Distinct().Count());
        Assert.Equal(file.Rows.Count, rows.Train.Count + rows.HeldOut.Count);
        Assert.InRange(rows.Train.Count / (double)file.Rows.Count, 0.77, 0.83);
        Assert.All(file.Problems, problem => Assert.True(problem.Row >= 1 && problem.Field is { Length: > 0 } && problem.Reason.Length > 10, $"{problem}"));
        Assert.DoesNotContain(rows.HeldOut, pair => trained.Contains(pair.PromptKey));
    }
}
