using System.Security.Cryptography;
using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Annotators;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Engine;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Jobs;
using Portal.Engine.Models;
using Portal.Engine.Sae;
using Portal.Engine.Serving;
using Portal.Tests.Engine.Recipes;
using Portal.Tests.Engine.Sae;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Portal.Tests.Engine.Jobs;

/// <summary>A small project, described on a real database by a reward model of 64 features.</summary>
[Trait("Speed", "slow")]
public sealed class DescribeFeaturesRunnerTests : IDisposable
{
    private static readonly DescribeFeatures Spec = new() { ContextsPerFeature = 4, Permutations = 100, SupportMin = 5 };

    private readonly RunnerBench bench = new();
    private readonly ModelVersionId sarm;
    private readonly List<AnnotatorId> people = [];

    public DescribeFeaturesRunnerTests()
    {
        using (var db = bench.Database.Open())
        {
            for (var i = 0; i < 6; i++)
                db.Annotators.Add(new Annotator { Id = Ids.New<AnnotatorId>(), Pseudonym = $"heron-{i}", CreatedAt = DateTimeOffset.UtcNow });
            db.SaveChanges();
            people.AddRange(db.Annotators.Select(annotator => annotator.Id));
        }
        for (var i = 0; i < ToyWorld.Prompts.Count; i++)
        {
            var prompt = ToyWorld.Prompts[i];
            // With the place, so that no two answers are the same.
            var place = $" {prompt[prompt.IndexOf("from", StringComparison.Ordinal)..].TrimEnd('?')}.";
            var task = bench.Seed.Task(bench.Project, prompt, ToyWorld.Good(prompt, i).TrimEnd('.') + place, ToyWorld.Bad(prompt, i).TrimEnd('.') + place);
            Vote(task, people[i % 6], task.FirstResponseId);
            if (i % 4 == 0)
                Vote(task, people[(i + 1) % 6], task.FirstResponseId);
        }
        // Prompts are near duplicates of the first ones; the wrong one is preferred by nobody: a tie.
        var twin = bench.Seed.Task(bench.Project, ToyWorld.Prompts[0].ToUpperInvariant(), "Yes please.", "No, never.");
        Vote(twin, people[0], null);
        using var model = ToyWorld.Base();
        using var reward = FeatureReaderTests.Sarm(model);
        using (no_grad())
            reward.HeadWeight.copy_(randn(reward.HeadWeight.shape, generator: new Generator().manual_seed(3)));
        sarm = Add(folder => SarmFolder.Save(reward, folder, ToyWorld.Tokenizer), 1);
    }

    private IdFactory Ids => bench.Get<IdFactory>();

    private ModelStore Store => new(bench.Database.Contexts, bench.Database.Writes, bench.Database.Directory, Ids, TimeProvider.System);

    public void Dispose() => bench.Dispose();

    [Fact]
    public async Task A_description_is_whole_its_rewards_are_the_models_and_a_run_after_a_crash_gives_the_same()
    {
        var run = bench.Begin(Spec);
        // As after a kill just before the end: rows are there, and nobody sees them.
        await new DescribeFeaturesRunner().Run(Spec, run);
        var before = Rows(run);
        using (var db = bench.Database.Open())
        {
            Assert.False(db.FeatureDescriptions.Any());
            Assert.NotEmpty(before.Features);
            Assert.False(db.FeatureLabels.Any());
        }
        var late = bench.Seed.Task(bench.Project, "And later?", "Yes please, it came later.", "No, never, it came later."); // after the job was asked for
        Vote(late, people[0], late.FirstResponseId);

        await bench.Finish(new DescribeFeaturesRunner(), Spec, run);

        var after = Rows(run);
        Assert.Equal(before, after);
        using var read = bench.Database.Open();
        var description = read.FeatureDescriptions.Single();
        Assert.Equal((run.JobId.Value, sarm, 64, 162, 80), (description.Id.Value, description.ModelVersionId, description.Latents, description.Responses, description.Pairs));
        Assert.Equal(80, description.PromptsDiscovery + description.PromptsTest);
        Assert.InRange(description.PromptsDiscovery, 25, 55);

        // The codes: hashed, and their contributions add up to what the model itself says of every stored response.
        var path = Path.Combine(bench.Database.Directory.Features, $"codes-{description.Id}");
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(await File.ReadAllBytesAsync(path))), description.CodesSha256);
        var codes = FeatureCodes.Read(path);
        var texts = (from r in read.Responses join p in read.Prompts on r.PromptId equals p.Id join asked in read.Contents on p.ContentId equals asked.Id join answer in read.Contents on r.ContentId equals answer.Id
            select new { r.Id, p.ContentId, Prompt = asked.Text, Response = answer.Text, PromptId = p.Id }).ToDictionary(r => r.Id);
        var (opened, tokenizer) = Store.OpenReward(await Store.Find(bench.Project, sarm, ModelKind.RewardModel, default));
        using var model = (SarmReward)opened;
        var scored = new RewardScorer(model, tokenizer).Score([.. codes.Responses.Select(id => (Conversation.Parse(texts[id].Prompt), texts[id].Response!))], default);
        var rewards = codes.Rewards(model.HeadWeight.ToFloats());
        Assert.Equal(162, rewards.Length);
        Assert.All(scored.Zip(rewards), pair => Assert.True(Math.Abs(pair.First - pair.Second) < 1e-5, $"{pair.First} and {pair.Second}"));
        Assert.True(rewards.Distinct().Count() > 40);

        // Discovery and test prompts: disjoint, near duplicates together.
        var sides = codes.Pairs.Select(pair => (pair.IsTest, Key: PromptSplit.Normalise(Conversation.LastQuestion(Conversation.Parse(texts[codes.Responses[pair.Chosen]].Prompt))))).ToList();
        Assert.Empty(sides.Where(side => side.IsTest).Select(side => side.Key).Intersect(sides.Where(side => !side.IsTest).Select(side => side.Key)));
        Assert.Equal(40, codes.Pairs.Count(pair => pair.Votes == 1) - 20);
        Assert.All(codes.Pairs, pair => Assert.Contains("please", texts[codes.Responses[pair.Chosen]].Response!, StringComparison.Ordinal));

        // Rows: as many features as latents; contexts lie in their texts.
        var features = read.SaeFeatures.Where(feature => feature.DescriptionId == description.Id).OrderBy(feature => feature.Latent).ToList();
        Assert.Equal(Enumerable.Range(0, 64), features.Select(feature => feature.Latent));
        for (var latent = 0; latent < 64; latent++)
        {
            double ZOf(int response)
            {
                var (latents, values) = codes.Of(response);
                return Enumerable.Range(0, codes.Width).Where(i => latents.Span[i] == latent).Sum(i => (double)values.Span[i]);
            }
            Assert.Equal(Enumerable.Range(0, 162).Count(response => ZOf(response) > 0), features[latent].FiringAtEnd);
            Assert.Equal(codes.Pairs.Average(pair => features[latent].HeadWeight * (ZOf(pair.Chosen) - ZOf(pair.Rejected))), features[latent].GapContribution, 6);
            var support = codes.Pairs.Count(pair => !pair.IsTest && ZOf(pair.Chosen) != ZOf(pair.Rejected));
            Assert.Equal(support >= Spec.SupportMin, features[latent].SelectionScore is not null);
        }
        // The means that the door gives with intervals are the ones that are stored.
        foreach (var (effect, feature) in FeatureEffects.Of(new CodedRewards(codes, model.HeadWeight.ToFloats()), [.. Enumerable.Range(0, 64)], default).Zip(features))
        {
            Assert.Equal(feature.GapContribution, effect.Gap!.Value, 9);
            Assert.Equal(feature.ContributionMean, effect.Contribution!.Value, 9);
        }
        Assert.Contains(features, feature => feature.SelectionQ < 0.05);
        Assert.Contains(features, feature => feature.ResidualP is not null);
        Assert.Contains(features, feature => JsonSerializer.Deserialize<List<VoterShare>>(feature.VotersJson)!.Count >= SaeFeature.VotersMin); // written by us
        var contexts = read.FeatureContexts.Where(context => context.DescriptionId == description.Id).ToList();
        Assert.All(contexts, context => Assert.InRange(context.Start + context.Length, 1, texts[context.ResponseId].Response!.Length));
        Assert.Contains(contexts, context => context.Position is ContextPosition.Sentence && context.Band > 0);

        // Labels of rules; every one that can be scored is, on held-out contexts.
        var labels = read.FeatureLabels.Where(label => label.ModelVersionId == sarm).ToList();
        Assert.Contains(labels, label => label.Source is LabelSource.Keyword && label.Detection > 0.9);
        Assert.All(labels, label => Assert.True(features[label.Latent].FiringAtEnd + features[label.Latent].FiringAtSentence >= FeatureLabelling.DiscoveryMin));
        Assert.All(labels.GroupBy(label => label.Latent), own => Assert.Equal(own.Max(label => label.Detection), own.MaxBy(label => label.Version)!.Detection)); // not empty

        // The door scores the same pattern alike.
        var label = labels.First(label => label.Detection > 0.9);
        var scorer = new LabelScorer(bench.Database.Contexts, bench.Database.Directory);
        var score = await scorer.Score($"{sarm}", label.Latent, Phrases.Parse(label.Pattern)!, default); // made of words
        Assert.Equal((label.Detection, label.Fuzzing, label.ScoredOn, (string?)null), (score.Detection!.Value, score.Fuzzing, score.ScoredOn, score.WhyNot)); // scored just now
        Assert.InRange((await scorer.Score($"{sarm}", label.Latent, Phrases.Parse("xylophone")!, default)).Detection!.Value, 0.5, 0.5); // never there: chance, and it has words
        var refused = await Assert.ThrowsAsync<DoorRefusal>(() => scorer.Score($"{sarm}", 64, Phrases.Parse("please")!, default)); // has a word
        Assert.Equal((400, "latent"), (refused.Status, refused.Field));
    }

    /// <summary>
    /// The other two kinds of SAE, against plain loops over one text at a time: BatchTopK, which keeps what is above a threshold, as many as there are; and TopK without ReLU with so large a k
    /// that values below 0 are kept. Those belong to rewards and gaps; a feature fires above 0.
    /// </summary>
    [Theory]
    [InlineData(SaeSelection.BatchTopK, true)]
    [InlineData(SaeSelection.TopK, false)]
    public async Task Features_of_other_kinds_of_SAE_are_described_as_they_are_defined(SaeSelection selection, bool useRelu)
    {
        using var body = ToyWorld.Base();
        using var fresh = TopKSae.Fresh(new SaeConfig { Width = 16, Latents = 64, K = useRelu ? 8 : 48, Layer = 1, Selection = selection, UseRelu = useRelu, CentresPositions = true, ModelHash = LlamaWeights.Hash(body.Backbone) }, seed: 4);
        using var reward = new SarmReward(LlamaWeights.Truncated(body.Backbone, 1), fresh);
        using (no_grad())
        using (NewDisposeScope())
        {
            using var random = new Generator(6);
            foreach (var weight in new[] { reward.HeadWeight, fresh.PreBias, fresh.LatentBias })
                weight.copy_(randn(weight.shape, generator: random).mul(0.5));
        }
        List<(ResponseId Id, IReadOnlyList<Turn> Prompt, string Text)> texts;
        using (var db = bench.Database.Open())
            texts = [.. (from r in db.Responses join p in db.Prompts on r.PromptId equals p.Id join asked in db.Contents on p.ContentId equals asked.Id join answer in db.Contents on r.ContentId equals answer.Id
                select new { r.Id, Prompt = asked.Text, answer.Text }).AsEnumerable().Select(r => (r.Id, Conversation.Parse(r.Prompt), r.Text!))]; // none is erased
        if (selection is SaeSelection.BatchTopK)
        {
            // Between two values that lie apart, so that no last bit decides, where texts keep most unlike numbers of latents: the toy's texts are much alike.
            var each = texts.ConvertAll(text => PlainCodes.PreActivations(reward, text.Prompt, text.Text).Values[^1]);
            var all = each.SelectMany(values => values).Where(value => value > 0.1).Order().ToList();
            fresh.SetThreshold(all.Zip(all.Skip(1)).Where(pair => pair.Second - pair.First > 2e-4).Select(pair => (pair.First + pair.Second) / 2).Where((_, i) => i % 10 == 0)
                .MaxBy(between => each.Max(values => values.Count(value => value > between)) - each.Min(values => values.Count(value => value > between))));
        }
        var version = Add(folder => SarmFolder.Save(reward, folder, ToyWorld.Tokenizer), 2);
        var run = bench.Begin(Spec with { RewardModelId = version });

        await bench.Finish(new DescribeFeaturesRunner(), Spec with { RewardModelId = version }, run);

        var plain = texts.ToDictionary(text => text.Id, text => PlainCodes.Of(reward, text.Prompt, text.Text).Codes[^1]);
        var kept = plain.Values.Select(codes => codes.Count).ToList();
        if (useRelu)
            Assert.InRange(kept.Min(), 0, kept.Max() - 3); // more of one text than of another
        else
            Assert.All(kept, count => Assert.Equal(48, count));
        Assert.Equal(!useRelu, plain.Values.Any(codes => codes.Values.Any(z => z < 0)));
        var stored = FeatureCodes.Read(Path.Combine(bench.Database.Directory.Features, $"codes-{run.JobId}"));
        Assert.Equal((kept.Max(), texts.Count), (stored.Width, stored.Responses.Count));
        for (var i = 0; i < stored.Responses.Count; i++)
        {
            var (latents, values) = stored.Of(i);
            var own = Enumerable.Range(0, stored.Width).Where(at => values.Span[at] != 0).ToDictionary(at => latents.Span[at], at => values.Span[at]);
            Assert.Equal(plain[stored.Responses[i]].Keys.Order(), own.Keys.Order());
            Assert.All(own, code => Assert.Equal(plain[stored.Responses[i]][code.Key], code.Value, 1e-4));
        }
        var weights = reward.HeadWeight.ToFloats();
        var scorer = new RewardScorer(reward, ToyWorld.Tokenizer);
        Assert.All(scorer.Score([.. texts.Select(text => (text.Prompt, text.Text))], default).Zip(texts), pair => Assert.Equal(plain[pair.Second.Id].Sum(code => weights[code.Key] * code.Value), pair.First, 1e-4));
        using var read = bench.Database.Open();
        var description = FeatureDescriptionId.From(run.JobId.Value);
        foreach (var feature in read.SaeFeatures.Where(feature => feature.DescriptionId == description).ToList())
        {
            double Z(ResponseId response) => plain[response].GetValueOrDefault(feature.Latent);
            var firing = texts.Select(text => Z(text.Id)).Where(z => z > 0).ToList();
            Assert.Equal(firing.Count, feature.FiringAtEnd);
            Assert.Equal(firing.DefaultIfEmpty().Max(), feature.ActivationMax, 1e-4);
            Assert.Equal(firing.DefaultIfEmpty().Average(), feature.ActivationMean, 1e-4);
            Assert.Equal(weights[feature.Latent] * texts.Average(text => Z(text.Id)), feature.ContributionMean, 1e-4);
            Assert.Equal(weights[feature.Latent] * stored.Pairs.Average(pair => Z(stored.Responses[pair.Chosen]) - Z(stored.Responses[pair.Rejected])), feature.GapContribution, 1e-4);
        }
    }

    [Fact]
    public async Task A_persons_label_stays_a_second_description_adds_no_twin_and_a_failed_job_leaves_nothing()
    {
        await bench.Finish(new DescribeFeaturesRunner(), Spec, bench.Begin(Spec));
        List<FeatureLabel> first;
        using (var db = bench.Database.Open())
        {
            first = [.. db.FeatureLabels.AsNoTracking()];
            var (mine, kept) = (first[0].Latent, first.Where(label => label.Latent == first[0].Latent).Max(label => label.Version));
            db.FeatureLabels.Add(new FeatureLabel
            {
                Id = Ids.New<FeatureLabelId>(), ProjectId = bench.Project, ModelVersionId = sarm, Latent = mine, Version = kept + 1, Text = "kind words", Pattern = null, Source = LabelSource.Person,
                Author = Guid.NewGuid(), At = DateTimeOffset.UtcNow, Detection = null, DetectionLow = null, DetectionHigh = null, Fuzzing = null, ScoredOn = 0,
            });
            // The second description scores on fewer texts: erased ones are left out.
            db.SaveChanges();
        }
        await bench.Finish(new DescribeFeaturesRunner(), Spec, bench.Begin(Spec));
        using (var db = bench.Database.Open())
        {
            Assert.Equal(2, db.FeatureDescriptions.Count());
            Assert.Equal(first.Count + 1, db.FeatureLabels.Count()); // the same data: the same labels
            foreach (var content in db.Contents.Where(content => content.Kind == ContentKind.Response).OrderBy(content => content.Id).Take(60))
                content.Erase(DateTimeOffset.UtcNow);
            db.SaveChanges();
        }
        var third = bench.Begin(Spec with { ResponsesMax = 90 });
        await bench.Finish(new DescribeFeaturesRunner(), Spec with { ResponsesMax = 90 }, third);
        using (var db = bench.Database.Open())
        {
            var person = first[0].Latent;
            Assert.Equal(LabelSource.Person, db.FeatureLabels.Where(label => label.Latent == person).OrderByDescending(label => label.Version).First().Source);
            Assert.True(db.FeatureLabels.Count() > first.Count + 1, "other features got new labels, as their scores changed");
            Assert.Equal(90, db.FeatureDescriptions.Single(d => d.Id == FeatureDescriptionId.From(third.JobId.Value)).Responses);
        }

        var failed = bench.Begin(Spec);
        await new DescribeFeaturesRunner().Run(Spec, failed); // its end is never written
        Assert.NotEmpty(Rows(failed).Features);
        await new DescribeFeaturesRunner().Discard(Spec, failed);
        Assert.Empty(Rows(failed).Features);
        using (var db = bench.Database.Open())
        {
            var id = FeatureDescriptionId.From(failed.JobId.Value);
            Assert.False(db.FeatureContexts.Any(context => context.DescriptionId == id) || db.FeatureDescriptions.IgnoreQueryFilters().Any(d => d.Id == id));
        }
        Assert.DoesNotContain(Directory.EnumerateFiles(bench.Database.Directory.Features), file => file.EndsWith($"{failed.JobId}", StringComparison.Ordinal));
        // One that came to be is not removed, however often it is asked.
        await new DescribeFeaturesRunner().Discard(Spec, third);
        Assert.Equal(64, Rows(third).Features.Split('\n').Length);
    }

    [Fact]
    public async Task What_cannot_be_described_is_refused_by_name()
    {
        ModelVersionId conventional;
        using (var model = ToyWorld.Base())
        using (var reward = LlamaReward.From(model))
            conventional = Add(folder => HuggingFaceFolder.Save(reward, folder, ToyWorld.Tokenizer), 2);
        await Refused("reward model v2 is not a SARM reward model: it has no features.", Spec with { RewardModelId = conventional });
        await Refused("contextsPerFeature is 0", Spec with { ContextsPerFeature = 0 });
        await Refused("responsesMax is 0", Spec with { ResponsesMax = 0 });
        await Refused("testShare is 1", Spec with { TestShare = 1 });
        await Refused("supportMin is 0", Spec with { SupportMin = 0 });
        await Refused("permutations is 0", Spec with { Permutations = 0 });
        var empty = bench.Seed.Project("Empty");
        var refused = await Assert.ThrowsAsync<CannotTrain>(() => bench.Finish(new DescribeFeaturesRunner(), Spec with { RewardModelId = null }, bench.Begin(Spec, empty)));
        Assert.StartsWith("The project has no reward model yet", refused.Message, StringComparison.Ordinal);
        using var stop = new CancellationTokenSource();
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => new DescribeFeaturesRunner().Run(Spec with { RewardModelId = sarm }, bench.Begin(Spec, stop: stop.Token)));
        var scorer = new LabelScorer(bench.Database.Contexts, bench.Database.Directory);
        var notYet = await Assert.ThrowsAsync<DoorRefusal>(() => scorer.Score($"{sarm}", 0, Phrases.Parse("please")!, default)); // has a word
        Assert.Equal((409, "model"), (notYet.Status, notYet.Field));
        Assert.Equal(404, (await Assert.ThrowsAsync<DoorRefusal>(() => scorer.Score("nonsense", 0, Phrases.Parse("please")!, default))).Status); // has a word

        async Task Refused(string message, DescribeFeatures spec)
        {
            var refused = await Assert.ThrowsAsync<CannotTrain>(() => bench.Finish(new DescribeFeaturesRunner(), spec, bench.Begin(spec)));
            Assert.Contains(message, refused.Message, StringComparison.Ordinal);
        }
    }

    /// <summary>What a job has stored, as text, without numbers that the database hands out.</summary>
    private (string Features, string Contexts) Rows(JobRun run)
    {
        var id = FeatureDescriptionId.From(run.JobId.Value);
        using var db = bench.Database.Open();
        var features = db.SaeFeatures.AsNoTracking().Where(feature => feature.DescriptionId == id).OrderBy(feature => feature.Latent).AsEnumerable().Select(feature => JsonSerializer.Serialize(feature));
        var contexts = db.FeatureContexts.AsNoTracking().Where(context => context.DescriptionId == id).OrderBy(context => context.Id)
            .Select(context => new { context.Latent, context.ResponseId, context.Position, context.Band, context.Start, context.Length, context.Activation }).AsEnumerable();
        return (string.Join('\n', features), string.Join('\n', contexts));
    }

    private void Vote(AnnotationTask task, AnnotatorId who, ResponseId? preferred)
    {
        using var db = bench.Database.Open();
        db.PairwiseJudgements.Add(new PairwiseJudgement
        {
            Id = Ids.New<JudgementId>(), ProjectId = bench.Project, TaskId = task.Id, AnnotatorId = who, Source = JudgementSource.Person, SubmittedAt = DateTimeOffset.UtcNow,
            Verdict = preferred is null ? PairwiseVerdict.Tie : PairwiseVerdict.Preferred, PreferredResponseId = preferred, Strength = preferred is null ? null : 2, LeftResponseId = null,
        });
        db.SaveChanges();
    }

    private ModelVersionId Add(Action<string> save, int number)
    {
        var id = Ids.New<ModelVersionId>();
        var folder = id.Value.ToString("N");
        save(Path.Combine(bench.Database.Directory.Models, folder));
        using var db = bench.Database.Open();
        db.ModelVersions.Add(new ModelVersion
        {
            Id = id, ProjectId = bench.Project, Kind = ModelKind.RewardModel, Number = number, Method = "SARM", ParentId = null, DatasetVersionId = null, JobId = null, SpecJson = "{}", Seed = 1,
            Commit = "unknown", Folder = folder, FilesJson = Store.FilesJson(folder), IsSynthetic = false, CreatedAt = DateTimeOffset.UtcNow,
        });
        db.SaveChanges();
        return id;
    }
}
