using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Engine.Datasets;
using Portal.Engine.Models;
using Portal.Engine.Sae;
using Portal.Engine.Tokenizers;
using Message = Portal.Engine.Datasets.Formats.Message;

namespace Portal.Engine.Jobs;

/// <summary>
/// Describes every feature of a SARM reward model on the project's own responses and judgements: where it fires, what it adds, which votes it explains, which words go with it.
/// </summary>
/// <remarks>
/// Reads what there was when the job was asked for, so that a run after a crash gives the same rows. They are stored in small writes under a description without a hash, which nobody sees;
/// the job's success gives it the hash. Labels come with the success too, since pages look for them by model. Memory: the codes (<see cref="FeatureFirings"/>), and the
/// responses as texts and as words; the model reads a thousand at a time.
/// </remarks>
public sealed class DescribeFeaturesRunner : IJobRunner<DescribeFeatures>
{
    /// <summary>Responses one job may be asked to read.</summary>
    public const int ResponsesMax = 200_000;

    private const int ResponsesAtOnce = 1_024;

    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web);

    /// <inheritdoc/>
    public async Task<JobResult> Run(DescribeFeatures spec, JobRun run)
    {
        Check(spec);
        TrainingProcess.Prepare();
        var store = new ModelStore(run);
        var version = await store.RewardModel(run.ProjectId, spec.RewardModelId, run.Stop)
            ?? throw new CannotTrain("The project has no reward model yet; train a SARM reward model first.");
        var (reward, tokenizer) = store.OpenReward(version);
        using (reward)
        {
            if (reward is not SarmReward model)
                throw new CannotTrain($"{version.Label} is not a SARM reward model: it has no features.");
            model.eval();
            var found = await Find(spec, run);
            var read = await Read(spec, run, model, tokenizer, found);
            ModelVersionId root;
            await using (var db = await run.Contexts.CreateDbContextAsync(run.Stop))
                root = (await ToggledVersions.LineOfAsync(db, version, run.Stop))?.Root.Id ?? version.Id;
            return await Describe(spec, run, version, root, model, read);
        }
    }

    /// <inheritdoc/>
    public async Task Discard(DescribeFeatures spec, JobRun run)
    {
        var id = IdOf(run);
        await using (var db = await run.Contexts.CreateDbContextAsync(run.Stop))
            if (await db.FeatureDescriptions.AnyAsync(d => d.Id == id, run.Stop))
                return; // it came to be after all
        await RemoveRows(run);
        foreach (var path in new[] { CodesPath(run), HeldOutContexts.PathOf(run.Directory.Features, id) })
            File.Delete(path);
    }

    private static FeatureDescriptionId IdOf(JobRun run) => FeatureDescriptionId.From(run.JobId.Value);

    private static string CodesPath(JobRun run) => Path.Combine(run.Directory.Features, $"codes-{IdOf(run)}");

    private static void Check(DescribeFeatures spec)
    {
        if (spec.ResponsesMax is < 1 or > ResponsesMax)
            throw new CannotTrain($"responsesMax is {spec.ResponsesMax}; it must be between 1 and {ResponsesMax:N0}.");
        if (spec.ContextsPerFeature is < 1 or > 100)
            throw new CannotTrain($"contextsPerFeature is {spec.ContextsPerFeature}; it must be between 1 and 100.");
        if (spec.SupportMin < 1)
            throw new CannotTrain($"supportMin is {spec.SupportMin}; it must be at least 1.");
        if (spec.Permutations is < 1 or > 100_000)
            throw new CannotTrain($"permutations is {spec.Permutations}; it must be between 1 and 100,000.");
        if (spec.TestShare is not (>= 0.05 and <= 0.95))
            throw new CannotTrain(string.Create(CultureInfo.InvariantCulture, $"testShare is {spec.TestShare}; it must be between 0.05 and 0.95, so that both sides have prompts."));
    }

    private static async Task<JudgedResponses> Find(DescribeFeatures spec, JobRun run)
    {
        await using var db = await run.Contexts.CreateDbContextAsync(run.Stop);
        var at = await db.Jobs.Where(j => j.Id == run.JobId).Select(j => (DateTimeOffset?)j.CreatedAt).FirstOrDefaultAsync(run.Stop) ?? run.Time.GetUtcNow();
        var found = await JudgedResponses.Find(db, run.ProjectId, at, spec.ResponsesMax, spec.Seed, run.Stop);
        if (found.Responses.Count == 0)
            throw new CannotTrain("The project has no response to read. Import some, or sample some first.");
        if (found.LeftOut > 0)
            run.Progress.Log(JobEventLevel.Info, $"{found.LeftOut} responses beyond the first {spec.ResponsesMax} are not read; judged ones came first.");
        return found;
    }

    /// <summary>All that is known of the responses once the model has read them, numbered alike.</summary>
    /// <param name="Prompts">For each response the number of its prompt; prompts that are near duplicates share one.</param>
    /// <param name="IsTest">For each response whether its prompt tests.</param>
    private sealed record ReadResponses(IReadOnlyList<ResponseId> Ids, FeatureFirings Firings, IReadOnlyList<string> Texts, WordTexts Words, IReadOnlyList<int> Prompts, bool[] IsTest, IReadOnlyList<CodedPair> Pairs, IReadOnlyList<PairVote> Votes);

    private static async Task<ReadResponses> Read(DescribeFeatures spec, JobRun run, SarmReward model, ITokenizer tokenizer, JudgedResponses found)
    {
        // By the words of the prompt: near duplicates are on one side.
        var split = new PromptSplit(0, spec.TestShare, $"features {spec.Seed}");
        var (reader, firings, words) = (new FeatureReader(model, tokenizer), new FeatureFirings(model.Sae.Config.Latents), new WordTexts());
        var texts = new List<string>();
        var (ids, prompts, isTest, numbers) = (new List<ResponseId>(), new List<int>(), new List<bool>(), new Dictionary<string, int>(StringComparer.Ordinal));
        foreach (var some in found.Responses.Chunk(ResponsesAtOnce))
        {
            if (firings.Count > FeatureFirings.FiringsMax)
            {
                run.Progress.Log(JobEventLevel.Warning, $"Only {ids.Count} of {found.Responses.Count} responses are read: the codes of more would not fit into memory.");
                break;
            }
            run.Progress.Report(ids.Count, found.Responses.Count, "reading responses", null);
            var stored = await Texts(run, some);
            foreach (var (text, coded) in stored.Zip(reader.Read([.. stored.Select(text => text.Text)], run.Stop)))
            {
                foreach (var place in coded.Places)
                    firings.Add(new FeaturePlace(ids.Count, place.Position, place.Start, place.Length, place.TextHash), place.Latents, place.Values);
                texts.Add(text.Text.Response);
                words.Add(text.Text.Response);
                if (!numbers.TryGetValue(text.Text.PromptKey, out var number))
                    numbers[text.Text.PromptKey] = number = numbers.Count;
                ids.Add(text.Id);
                prompts.Add(number);
                isTest.Add(split.PartOf(text.Prompt) is SplitPart.Test);
            }
        }
        run.Progress.Report(ids.Count, found.Responses.Count, "reading responses", null);
        var numberOf = ids.Index().ToDictionary(entry => entry.Item, entry => entry.Index);
        return new ReadResponses(ids, firings, texts, words, prompts, [.. isTest],
        [
            .. from pair in found.Pairs
               where pair.Majority != 0 && numberOf.ContainsKey(pair.First) && numberOf.ContainsKey(pair.Second)
               let chosen = numberOf[pair.Majority > 0 ? pair.First : pair.Second]
               select new CodedPair(pair.PromptId, chosen, numberOf[pair.Majority > 0 ? pair.Second : pair.First], Math.Abs(pair.Majority), isTest[chosen]),
        ],
        [
            .. found.Votes.Where(vote => numberOf.ContainsKey(vote.Preferred) && numberOf.ContainsKey(vote.Other))
                .Select(vote => new PairVote(vote.Annotator, numberOf[vote.Preferred], numberOf[vote.Other])),
        ]);
    }

    private sealed record StoredText(ResponseId Id, IReadOnlyList<Message> Prompt, ResponseText Text);

    /// <summary>Texts in the order of the ids; those erased meanwhile are left out.</summary>
    private static async Task<IReadOnlyList<StoredText>> Texts(JobRun run, ResponseId[] ids)
    {
        await using var db = await run.Contexts.CreateDbContextAsync(run.Stop);
        var responses = await StoredTexts.Responses(db, ids, run.Stop);
        var prompts = await StoredTexts.Prompts(db, responses.Values.Select(response => response.Prompt), run.Stop);
        return
        [
            .. from id in ids
               where responses.ContainsKey(id) && prompts.ContainsKey(responses[id].Prompt)
               let prompt = prompts[responses[id].Prompt]
               select new StoredText(id, prompt.Messages, new ResponseText(prompt.Key, prompt.Turns, responses[id].Text)),
        ];
    }

    private static async Task<JobResult> Describe(DescribeFeatures spec, JobRun run, ModelVersion version, ModelVersionId labelled, SarmReward model, ReadResponses read)
    {
        if (read.Ids.Count == 0)
            throw new CannotTrain("All responses were erased before they could be read.");
        run.Progress.Report(0, 0, "counting", null);
        var weights = model.HeadWeight.detach().cpu().contiguous().ToFloats();
        var postings = read.Firings.ByLatent();
        var codes = Codes(read);
        var rewards = codes.Rewards(weights);
        var dashboards = FeatureDashboards.Build(new DashboardData
        {
            Firings = read.Firings, HeadWeights = weights, Decoder = model.Sae.DecoderWeight, Rewards = rewards, Pairs = read.Pairs, Votes = read.Votes,
            ContextsPerFeature = spec.ContextsPerFeature, Seed = spec.Seed,
        }, postings, run.Stop);
        run.Progress.Report(0, 0, "choosing features", null);
        var scores = Select(spec, read, codes, rewards, run.Stop);
        var (labels, heldOut) = Label(spec, run, read, postings, dashboards);

        run.Progress.Report(0, 0, "storing", null);
        codes.Write(CodesPath(run));
        heldOut.Write(HeldOutContexts.PathOf(run.Directory.Features, IdOf(run)));
        var description = new FeatureDescription
        {
            Id = IdOf(run), ProjectId = run.ProjectId, ModelVersionId = version.Id, Latents = codes.Latents, Responses = read.Ids.Count, SentenceEnds = read.Firings.Places.Count - read.Ids.Count,
            Pairs = read.Pairs.Count, PromptsDiscovery = Prompts(false), PromptsTest = Prompts(true), SpecJson = spec.ToJson(), CodesSha256 = "", At = run.Time.GetUtcNow(),
        };
        await Store(run, description, read, dashboards, scores);
        var hash = HashOf(CodesPath(run));
        var (dead, rare) = (dashboards.Count(one => one.FiringAtEnd == 0), dashboards.Count(one => one.FiringAtEnd > 0 && one.FiringAtEnd < FeatureLabelling.DiscoveryMin));
        run.Progress.Log(JobEventLevel.Info, $"{codes.Latents} features of {version.Label} on {read.Ids.Count} responses and {read.Pairs.Count} judged pairs: {dead} never fire where the reward is read, "
            + $"{rare} fire there fewer than {FeatureLabelling.DiscoveryMin} times; {labels.Select(label => label.Latent).Distinct().Count()} got a label by rule.");
        return new JobResult($"/features?version={version.Id}", db => Show(db, run, version, labelled, hash, labels));

        int Prompts(bool ofTest) => read.Pairs.Where(pair => pair.IsTest == ofTest).Select(pair => read.Prompts[pair.Chosen]).Distinct().Count();
    }

    /// <summary>The codes at the ends, as previews read them. All values that are not 0, so that rewards come out whole.</summary>
    private static FeatureCodes Codes(ReadResponses read)
    {
        var (_, endOf) = FeatureDashboards.Ends(read.Firings, read.Ids.Count);
        var width = Math.Max(1, endOf.Max(place => read.Firings.LatentsOf(place).Length));
        var (indices, values) = (new int[read.Ids.Count * width], new float[read.Ids.Count * width]);
        for (var response = 0; response < endOf.Length; response++)
        {
            read.Firings.LatentsOf(endOf[response]).CopyTo(indices.AsSpan(response * width));
            read.Firings.ValuesOf(endOf[response]).CopyTo(values.AsSpan(response * width));
        }
        return new FeatureCodes { Latents = read.Firings.Latents, Width = width, Responses = read.Ids, Indices = indices, Values = values, Pairs = read.Pairs };
    }

    /// <summary>Selection on the discovery pairs; null where there is none.</summary>
    private static IReadOnlyList<FeatureScore>? Select(DescribeFeatures spec, ReadResponses read, FeatureCodes codes, double[] rewards, CancellationToken stop)
    {
        List<ContrastPair> pairs = [.. read.Pairs.Where(pair => !pair.IsTest).Select(pair => new ContrastPair(read.Prompts[pair.Chosen].ToString(CultureInfo.InvariantCulture), pair.Chosen, pair.Rejected))];
        if (pairs.Count == 0)
            return null;
        var sparse = Enumerable.Range(0, read.Ids.Count).Select(response =>
        {
            var (latents, values) = codes.Of(response);
            // Without ReLU some values are below 0: they are part of the reward, but no firing.
            var active = Enumerable.Range(0, codes.Width).Where(i => values.Span[i] > 0).OrderBy(i => latents.Span[i]).ToArray();
            return new Statistics.SparseVector([.. active.Select(i => latents.Span[i])], [.. active.Select(i => (double)values.Span[i])]);
        }).ToList();
        return FeatureSelection.Score(sparse, pairs, rewards, codes.Latents, new FeatureSelectionOptions { SupportMin = spec.SupportMin, Permutations = spec.Permutations, Seed = spec.Seed }, stop);
    }

    /// <summary>Balanced accuracy of a coin: a rule's label whose interval on held-out contexts holds it is not kept. (The scores of those that are kept are a little too good for that.)</summary>
    private const double Chance = 0.5;

    /// <summary>A label of a rule with its score.</summary>
    private sealed record ScoredLabel(int Latent, RuleLabel Label, LabelScore Score);

    private static (IReadOnlyList<ScoredLabel> Labels, HeldOutContexts HeldOut) Label(DescribeFeatures spec, JobRun run, ReadResponses read, FeaturePostings postings, IReadOnlyList<FeatureDashboard> dashboards)
    {
        var picker = new LabelContextPicker(read.Firings, postings, read.IsTest, spec.Seed);
        var (heldOut, labels, done) = (new LabelContexts[dashboards.Count], new List<ScoredLabel>[dashboards.Count], 0);
        Parallel.For(0, dashboards.Count, new ParallelOptions { CancellationToken = run.Stop }, latent =>
        {
            var (position, related) = (picker.PositionOf(latent), dashboards[latent].Related.Select(other => other.Latent).ToList());
            var test = heldOut[latent] = picker.Pick(latent, position, related, ofTest: true);
            labels[latent] = [.. FeatureLabelling.Label(picker.Pick(latent, position, related, ofTest: false), read.Words, run.Stop).Select(label =>
            {
                var pattern = Phrases.Parse(label.Pattern)!; // made of words
                return new ScoredLabel(latent, label, LabelScores.Score(test, context => pattern.Match(read.Texts[context.Response].AsSpan(context.Start, context.Length)), response => read.Prompts[response], spec.Seed));
            }).Where(scored => scored.Score.Detection is not { } detection || detection.Low > Chance)]; // a name that is wrong as often as right misleads: better none
            if (Interlocked.Increment(ref done) % 64 == 0)
                run.Progress.Report(done, dashboards.Count, "looking for labels", null);
        });
        return ([.. labels.SelectMany(own => own)], new HeldOutContexts(read.Ids, read.Prompts, heldOut).Packed());
    }

    private static async Task Store(JobRun run, FeatureDescription description, ReadResponses read, IReadOnlyList<FeatureDashboard> dashboards, IReadOnlyList<FeatureScore>? scores)
    {
        await RemoveRows(run); // of a run that was killed
        await run.Writes.WriteAsync(db => { db.FeatureDescriptions.Add(description); }, run.Stop);
        var done = 0;
        foreach (var some in dashboards.Chunk(SmallWrites.RowsMax))
        {
            await run.Writes.WriteAsync(db => { db.SaeFeatures.AddRange(some.Select(one => RowOf(description.Id, one, scores?[one.Latent]))); }, run.Stop);
            run.Progress.Report(done += some.Length, dashboards.Count, "storing features", null);
            await Task.Delay(SmallWrites.Pause, run.Time, run.Stop);
        }
        var contexts = dashboards.SelectMany(one => one.Contexts.Select(context => (one.Latent, Context: context))).ToList();
        done = 0;
        foreach (var some in contexts.Chunk(SmallWrites.RowsMax))
        {
            await run.Writes.WriteAsync(db => { db.FeatureContexts.AddRange(some.Select(one => RowOf(description.Id, one.Latent, one.Context, read))); }, run.Stop);
            run.Progress.Report(done += some.Length, contexts.Count, "storing contexts", null);
            await Task.Delay(SmallWrites.Pause, run.Time, run.Stop);
        }
    }

    private static SaeFeature RowOf(FeatureDescriptionId id, FeatureDashboard one, FeatureScore? score) => new()
    {
        DescriptionId = id, Latent = one.Latent, FiringAtEnd = one.FiringAtEnd, FiringAtSentence = one.FiringAtSentence, ActivationMax = one.ActivationMax, ActivationMean = one.ActivationMean,
        HeadWeight = one.HeadWeight, ContributionMean = one.ContributionMean, GapContribution = one.GapContribution, PairsDiffering = one.PairsDiffering, RewardAuc = one.RewardAuc,
        SelectionScore = score?.Score, SelectionP = score?.P, SelectionQ = score?.Q, ResidualScore = score?.ResidualScore, ResidualP = score?.ResidualP, ResidualQ = score?.ResidualQ,
        HistogramJson = JsonSerializer.Serialize(one.Histogram), RelatedJson = JsonSerializer.Serialize(one.Related), VotersJson = JsonSerializer.Serialize(one.Voters),
    };

    private static FeatureContext RowOf(FeatureDescriptionId id, int latent, PickedContext context, ReadResponses read)
    {
        var place = read.Firings.Places[context.Place];
        return new FeatureContext
        {
            DescriptionId = id, Latent = latent, ResponseId = read.Ids[place.Response], Position = place.Position, Band = context.Band, Start = place.Start, Length = place.Length,
            Activation = context.Activation,
        };
    }

    private static async Task RemoveRows(JobRun run)
    {
        var id = IdOf(run);
        while (await run.Writes.WriteAsync(db => db.FeatureContexts.Where(c => c.DescriptionId == id).OrderBy(c => c.Id).Take(SmallWrites.RowsMax).ExecuteDelete(), run.Stop) > 0
               || await run.Writes.WriteAsync(db => db.SaeFeatures.Where(f => f.DescriptionId == id).OrderBy(f => f.Latent).Take(SmallWrites.RowsMax).ExecuteDelete(), run.Stop) > 0)
            await Task.Delay(SmallWrites.Pause, run.Time, run.Stop);
        await run.Writes.WriteAsync(db => db.FeatureDescriptions.IgnoreQueryFilters().Where(d => d.Id == id).ExecuteDelete(), run.Stop);
    }

    /// <summary>The job's success: the description gets its hash, rules' labels become the next versions where no person has spoken.</summary>
    /// <param name="labelled">The version that labels belong to: the one that no toggles made.</param>
    private static void Show(PortalDbContext db, JobRun run, ModelVersion version, ModelVersionId labelled, string hash, IReadOnlyList<ScoredLabel> labels)
    {
        var (id, now) = (IdOf(run), run.Time.GetUtcNow());
        db.FeatureDescriptions.IgnoreQueryFilters().Where(d => d.Id == id).ExecuteUpdate(set => set.SetProperty(d => d.CodesSha256, hash).SetProperty(d => d.At, now));
        var latest = db.FeatureLabels.AsNoTracking().Where(l => l.ModelVersionId == labelled).AsEnumerable().GroupBy(l => l.Latent).ToDictionary(own => own.Key, own => own.OrderByDescending(l => l.Version).ToList());
        foreach (var own in labels.GroupBy(label => label.Latent))
        {
            var before = latest.GetValueOrDefault(own.Key, []);
            // The best one comes last, because the highest version holds. Unscored ones are weaker than any scored.
            var fresh = own.OrderBy(label => label.Score.Detection?.Value ?? -1).ThenByDescending(label => label.Label.Source).ToList();
            if (before.Any(label => label.Source is LabelSource.Person) || Same(before.Take(fresh.Count).Reverse(), fresh))
                continue;
            db.FeatureLabels.AddRange(fresh.Select((label, i) => new FeatureLabel
            {
                Id = LabelId(run, label), ProjectId = run.ProjectId, ModelVersionId = labelled, Latent = label.Latent, Version = (before.FirstOrDefault()?.Version ?? 0) + 1 + i,
                Text = label.Label.Text, Pattern = label.Label.Pattern, Source = label.Label.Source, Author = null, At = now, Detection = label.Score.Detection?.Value,
                DetectionLow = label.Score.Detection?.Low, DetectionHigh = label.Score.Detection?.High, Fuzzing = label.Score.Fuzzing, ScoredOn = label.Score.ScoredOn,
            }));
        }
        AuditChain.Append(db, now, run.CreatedBy, "features.describe", "model", $"{version.Id}", new { job = run.Number, labels = labels.Count });
    }

    private static bool Same(IEnumerable<FeatureLabel> before, IReadOnlyList<ScoredLabel> fresh) =>
        before.Select(label => (label.Text, label.Pattern, label.Source, label.Detection, label.ScoredOn))
            .SequenceEqual(fresh.Select(label => (label.Label.Text, (string?)label.Label.Pattern, label.Label.Source, label.Score.Detection?.Value, label.Score.ScoredOn)));

    /// <summary>Follows from job, latent and rule, so that a save that runs twice makes one label.</summary>
    private static FeatureLabelId LabelId(JobRun run, ScoredLabel label) => FeatureLabelId.From(new Guid(
        SHA256.HashData(Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"feature label {run.JobId} {label.Latent} {label.Label.Source}"))).AsSpan(0, 16)));

    private static string HashOf(string path)
    {
        using var file = File.OpenRead(path);
        return Convert.ToHexStringLower(SHA256.HashData(file));
    }
}
