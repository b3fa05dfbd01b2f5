using Portal.Data;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Engine;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Jobs;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Tests.Engine.Jobs;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Portal.Tests.Engine.Recipes;

public sealed class RelabellingTests
{
    private static readonly TrainingSplit<PreferencePair> Rows = new(
        [Pair("a", "long answer", "short", margin: 1), Pair("a", "tiny", "much longer", weight: 3), Pair("b", "same", "size")], [Pair("c", "x", "xx"), Pair("c", "even", "odd!")]);

    [Fact]
    public void The_answer_with_the_higher_reward_is_chosen_and_equals_are_left_out()
    {
        var relabelled = Relabelling.Of(Rows, (_, text) => text.Length);

        Assert.Equal([Pair("a", "long answer", "short"), Pair("a", "much longer", "tiny")], relabelled.Split.Train);
        Assert.Equal([Pair("c", "xx", "x")], relabelled.Split.HeldOut);
        Assert.Equal((5, 2, 2), (relabelled.Pairs, relabelled.Turned, relabelled.Ties));
        Assert.Equal([("relabelled/turned", 0.4), ("relabelled/ties", 0.4)], relabelled.Measured().Select(row => (row.Name, row.Value)));
    }

    [Fact]
    public void A_model_that_agrees_with_people_turns_nothing_round()
    {
        var relabelled = Relabelling.Of(Rows, (row, text) => text == row.Chosen ? 1 : 0);

        Assert.Equal((0, 0), (relabelled.Turned, relabelled.Ties));
        Assert.Equal(Rows.Train.Select(row => (row.Chosen, row.Rejected)), relabelled.Split.Train.Select(row => (row.Chosen, row.Rejected)));
    }

    [Fact]
    public void Nothing_to_learn_and_rewards_that_are_no_numbers_are_refused()
    {
        Assert.StartsWith("The reward model finds both answers equal in all 3 pairs", Assert.Throws<CannotTrain>(() => Relabelling.Of(Rows, (_, _) => 1)).Message);
        Assert.StartsWith("The reward model gives NaN and 1", Assert.Throws<CannotTrain>(() => Relabelling.Of(Rows, (row, text) => text == row.Chosen ? double.NaN : 1)).Message);
    }

    /// <summary>As a job: the rows that a policy learned from against the reward model asked about one text at a time.</summary>
    [Fact]
    [Trait("Speed", "slow")]
    public async Task A_policy_learns_the_order_of_the_named_reward_model()
    {
        using var toy = new ToyProject();
        var id = toy.Ids.New<ModelVersionId>();
        using (var body = ToyWorld.Model(seed: 4))
        using (var reward = LlamaReward.From(body))
        {
            using (no_grad())
            using (NewDisposeScope())
            using (var random = new Generator(2))
                reward.ScoreWeight.copy_(randn(reward.ScoreWeight.shape, generator: random));
            HuggingFaceFolder.Save(reward, toy.FolderOf(id), ToyWorld.Tokenizer);
        }
        using (var db = toy.Database.Open())
        {
            db.ModelVersions.Add(toy.Version(id, ModelKind.RewardModel, 1, toy.BaseId));
            db.SaveChanges();
        }
        var spec = new TrainPreferencePolicy { RelabelledById = id, LengthMax = 64, Optimization = new OptimizationSpec { StepsMax = 1, BatchSize = 8 }, Evaluation = new EvaluationSpec { Prompts = 0 } };
        var seen = new SeenProgress();
        var job = toy.Job(progress: seen);

        var policy = await toy.Finish(job, await new TrainPreferencePolicyRunner().Run(spec, job));

        var pairs = await PreferenceDataset.Load(toy.Database.Contexts, policy.Version.DatasetVersionId!.Value, default);
        var (model, tokenizer) = toy.Store.OpenReward(toy.Store.Find(toy.Project, id, ModelKind.RewardModel, default).Result);
        using (model)
        {
            var scorer = new RewardScorer(model, tokenizer);
            double Alone(PreferencePair row, string text) => scorer.Score([(row.Prompt, text)], default).Single();
            var turned = pairs.Split.Train.Concat(pairs.Split.HeldOut).Count(row => Alone(row, row.Chosen) < Alone(row, row.Rejected));
            Assert.InRange(turned, 5, 155); // of 160: both ways round, or nothing was tested
            Assert.Equal(turned / 160.0, toy.Row(policy.Id, MetricNames.RelabelledTurned, "all pairs").Value, 9);
            Assert.Contains(seen.Lines, line => line == $"Labelled anew by reward model v1: of 160 pairs {turned} are turned round and 0 left out, because it finds both answers equal.");
        }
        Assert.Equal(id, ((TrainPreferencePolicy)JobSpec.FromJson(policy.Version.SpecJson)).RelabelledById);
        Assert.StartsWith("relabelledById: only pairs", (await Assert.ThrowsAsync<CannotTrain>(() => new TrainPreferencePolicyRunner().Run(spec with { Method = PreferenceMethod.Kto }, toy.Job()))).Message);
        Assert.Equal("policy v1 is not a reward model.", (await Assert.ThrowsAsync<CannotTrain>(() => new TrainPreferencePolicyRunner().Run(spec with { RelabelledById = toy.BaseId }, toy.Job()))).Message);
    }

    private static PreferencePair Pair(string prompt, string chosen, string rejected, double? margin = null, double weight = 1) => new(prompt, [], chosen, rejected, margin, weight);
}
