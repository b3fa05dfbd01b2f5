using System.Globalization;
using System.Net;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Hosting;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Portal.Data;
using Portal.Data.Audits;
using Portal.Data.Endpoints;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Storage;
using Portal.Engine;
using Portal.Engine.Datasets;
using Portal.Engine.Endpoints;
using Portal.Engine.Generation;
using Portal.Engine.Jobs;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Serving;
using Portal.Engine.Tokenizers;
using Portal.Tests.Data;
using Portal.Tests.Engine.Recipes;
using Portal.Tests.Engine.Serving;
using Xunit;

namespace Portal.Tests.Engine.Audits;

/// <summary>
/// stories260K, fine-tuned by DPO on a criterion of real text, audited from end to end through the endpoint path: both policies answer and score over HTTP at the engine's own <c>/v1/completions</c>, on a port of this
/// machine that the operator's list allows.
/// </summary>
/// <remarks>
/// The criterion: a story goes on without direct speech, that is without a quotation mark. Prompts are the first sentences of real stories (TinyStories); pairs are the base's own continuations of other first sentences,
/// one without and one with a quotation mark. DPO trains in the portal's transcript template, a completions endpoint continues the bare text: the audit asks the policy where people would, not where it was trained.
/// </remarks>
public sealed partial class StoriesProject : IAsyncLifetime
{
    public const int Asked = 60, Learnt = 140, TokensMax = 48;

    private readonly PortalDatabase database = new();
    private readonly ProjectId project;
    private InProcessDoor door = null!; // opened before any test

    public StoriesProject()
    {
        TrainingProcess.Prepare(LoadedModels.Threads); // as everywhere in this process
        project = Ids.New<ProjectId>();
    }

    public PortalDatabase Database => database;
    public Llama Policy { get; private set; } = null!; // as is the rest
    public ITokenizer Tokenizer { get; private set; } = null!;
    public PolicyEndpoint OfPolicy { get; private set; } = null!;
    public PolicyEndpoint OfBase { get; private set; } = null!;
    public PolicyEndpoint WithoutKey { get; private set; } = null!;
    public ModelVersionId BaseId { get; private set; }
    public IReadOnlyList<string> Openings { get; private set; } = [];
    public int Pairs { get; private set; }
    public int Port => door.Port;

    public AuditReward Spec => new()
    {
        AuditedEndpointId = OfPolicy.Id, BaseEndpointId = OfBase.Id, BaseId = BaseId, PromptSource = AuditPromptSource.All, HoldoutShare = 0.2, TestShare = 0.2, CompletionsOnTest = 3, Seeds = 1, Bootstraps = 2,
        PowerRepeats = 0, Methods = ["max-entropy", "log-ratio-ridge"], Sampling = new SamplingSpec { Temperature = 1, TokensMax = TokensMax }, Lexicon = "speech",
    };

    private IdFactory Ids => database.Services.GetRequiredService<IdFactory>();
    private ModelStore Store => new(database.Contexts, database.Writes, database.Directory, Ids, TimeProvider.System);

    public async Task InitializeAsync()
    {
        if (SharedData.Root is null)
            return; // every test of it is skipped
        Tokenizer = Llama2cTokenizer.Load(SharedData.Path("data/models/stories260K/tok512.bin"));
        var sentences = FirstSentence().Matches(await File.ReadAllTextAsync(SharedData.Path("data/text/tinystories_smallgpt.txt"))).Select(match => match.Value).Distinct(StringComparer.OrdinalIgnoreCase).Take(Asked + Learnt).ToList();
        Openings = [.. sentences.Take(Asked)];
        BaseId = Ids.New<ModelVersionId>();
        var policyId = Ids.New<ModelVersionId>();
        using (var model = Llama2cFile.Load(SharedData.Path("data/models/stories260K/stories260K.bin")))
            HuggingFaceFolder.Save(model, FolderOf(BaseId), Tokenizer);
        Train([.. sentences.Skip(Asked)], FolderOf(policyId));
        (Policy, _) = (HuggingFaceFolder.LoadLanguageModel(FolderOf(policyId)), Tokenizer);
        Directory.CreateDirectory(database.Directory.Lexicons);
        await File.WriteAllTextAsync(Path.Combine(database.Directory.Lexicons, "speech.json"), """{"name": "direct speech", "severe": ["\""], "mild": []}""");
        using (var db = database.Open())
        {
            db.Projects.Add(new Project { Id = project, Name = "Stories", CreatedAt = Now });
            db.ModelVersions.AddRange(Version(BaseId, 1, null), Version(policyId, 2, BaseId));
            foreach (var opening in Openings)
                AddPrompt(db, opening);
            db.SaveChanges();
        }
        door = await InProcessDoor.Open(database.Directory, builder => builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0)));
        (OfPolicy, OfBase, WithoutKey) = (AddEndpoint("DPO policy", policyId), AddEndpoint("stories260K", BaseId), AddEndpoint("DPO policy, no key", policyId, hasKey: false));
    }

    public async Task DisposeAsync()
    {
        if (door is not null)
            await door.DisposeAsync();
        Policy?.Dispose();
        database.Dispose();
    }

    public JobRun Job(IRecipeProgress progress) => new()
    {
        JobId = Ids.New<JobId>(), Number = 1, ProjectId = project, CreatedBy = null, Directory = database.Directory, Contexts = database.Contexts, Writes = database.Writes,
        Hasher = database.Services.GetRequiredService<ContentHasher>(), Ids = Ids, Time = TimeProvider.System, Progress = progress, Stop = default,
    };

    /// <summary>A client of the policy's endpoint as the job opens it.</summary>
    public Task<EndpointPolicy> Client() => new EndpointPolicies(database.Contexts, new EndpointSecrets(database.Directory), new AddressGuard([$"localhost:{Port}"]), new EndpointNetwork(), TimeProvider.System)
        .Open(OfPolicy.Id, new EndpointLimits(), default);

    private static DateTimeOffset Now => TimeProvider.System.GetUtcNow();

    private string FolderOf(ModelVersionId id) => Path.Combine(database.Directory.Models, id.Value.ToString("N"));

    private ModelVersion Version(ModelVersionId id, int number, ModelVersionId? parent) => new()
    {
        Id = id, ProjectId = project, Kind = ModelKind.Policy, Number = number, Method = ModelStore.BaseMethod, ParentId = parent, DatasetVersionId = null, JobId = null, SpecJson = "{}", Seed = 1, Commit = "unknown",
        Folder = id.Value.ToString("N"), FilesJson = Store.FilesJson(id.Value.ToString("N")), IsSynthetic = false, CreatedAt = Now,
    };

    private void AddPrompt(PortalDbContext db, string text)
    {
        var words = Conversation.Serialize([new Turn("user", text)]);
        var content = new Content { Id = Ids.New<ContentId>(), ProjectId = project, Kind = ContentKind.Prompt, Text = words, KeyedHash = database.Services.GetRequiredService<ContentHasher>().Hash(words), CreatedAt = Now };
        db.Contents.Add(content);
        db.Prompts.Add(new Prompt { Id = Ids.New<PromptId>(), ProjectId = project, ContentId = content.Id, ContentHash = content.KeyedHash, CreatedAt = Now });
    }

    private PolicyEndpoint AddEndpoint(string name, ModelVersionId model, bool hasKey = true)
    {
        var endpoint = new PolicyEndpoint { Id = Ids.New<PolicyEndpointId>(), ProjectId = project, CreatedBy = Guid.NewGuid(), CreatedAt = Now };
        endpoint.Change(new EndpointSettings { Name = name, BaseUrl = $"http://localhost:{Port}/v1", Model = $"{model}", Api = EndpointApi.Completions, AsksLogProbs = true, Retries = 0 });
        if (hasKey)
            endpoint.SetKey(new EndpointSecrets(database.Directory).Seal(endpoint, database.Directory.ReadEngineToken()).Value);
        endpoint.GiveConsent(Guid.NewGuid(), Now);
        using var db = database.Open();
        db.PolicyEndpoints.Add(endpoint);
        db.SaveChanges();
        return endpoint;
    }

    private void Train(IReadOnlyList<string> openings, string folder)
    {
        const int Samples = 6;
        using var folders = new RunFolders();
        using var model = Llama2cFile.Load(SharedData.Path("data/models/stories260K/stories260K.bin"));
        var written = new Sampler(model).Generate([.. openings.SelectMany(opening => Enumerable.Repeat((IReadOnlyList<int>)[Tokenizer.BosId!.Value, .. Tokenizer.Encode(opening)], Samples))], // llama2.c's has one
            new SamplingOptions { MaxNewTokens = TokensMax, StopIds = [Tokenizer.EosId!.Value], BatchSize = 128, Seed = 7 }, default);
        List<PreferencePair> pairs = [.. openings.SelectMany((opening, i) =>
        {
            string[] texts = [.. written.Skip(i * Samples).Take(Samples).Select(answer => Tokenizer.Decode([.. answer.Ids]).Trim()).Where(text => text.Length > 0)];
            return texts.Where(text => !text.Contains('"')).Zip(texts.Where(text => text.Contains('"')), (plain, speech) => new PreferencePair(opening, [new Turn("user", opening)], plain, speech));
        })];
        Pairs = pairs.Count;
        TrainPreferencePolicyRecipe.RunDpo(new TrainPreferencePolicy
        {
            Beta = 0.1, LengthMax = 192, Optimization = new OptimizationSpec { LearningRate = 2e-4, BatchSize = 16, Epochs = 100, StepsMax = 24, CheckpointEverySteps = 0 },
        }, model, Tokenizer, new TrainingSplit<PreferencePair>(pairs, []), folders.Context());
        HuggingFaceFolder.Save(model, folder, Tokenizer);
    }

    // "Once upon a time, there was a little car named Beep." at the beginning of a line.
    [GeneratedRegex("""^(?:Once upon a time|One day)[^.!?"\n]{10,80}\.""", RegexOptions.Multiline)]
    private static partial Regex FirstSentence();
}

/// <inheritdoc cref="StoriesProject"/>
[Trait("Speed", "slow")]
public sealed class StoriesEndpointAuditTests(StoriesProject stories) : IClassFixture<StoriesProject>
{
    private const int OfEachPolicy = 36 + 12 + (12 * 3); // 60 prompts: 36 train, 12 hold out, 12 test with three completions each

    [SharedFact]
    public async Task The_report_says_what_can_be_said_and_everything_that_was_asked_is_counted()
    {
        var (spec, progress) = (stories.Spec, new SeenProgress());
        var run = stories.Job(progress);

        var result = await new AuditRewardRunner(new AddressGuard([$"localhost:{stories.Port}"])).Run(spec, run);
        await stories.Database.Writes.WriteAsync(db => result.Save!(db), default); // an audit always stores its row

        using var read = stories.Database.Open();
        var audit = read.PolicyAudits.AsNoTracking().Single(a => a.JobId == run.JobId);
        var report = AuditFolder.Open(stories.Database.Directory, audit).Value.Report().Value;
        Assert.Equal(("endpoint", "endpoint", "DPO policy", "stories260K"), (report.Provenance.Audited.Source, report.Provenance.Base.Source, audit.AuditedName, audit.BaseName));
        // Completions: in the census, as rows, and as each endpoint's account.
        var rows = read.AuditTexts.AsNoTracking().Where(t => t.JobId == run.JobId).ToList();
        Assert.Equal(2 * OfEachPolicy, rows.Count);
        foreach (var side in report.Census.Completions)
        {
            Assert.Equal(OfEachPolicy, side.Asked);
            Assert.Equal(side.Asked, side.Written + side.Empty + side.Refused + side.Failed + side.Missing);
            var own = rows.Where(row => row.Side == side.Side).ToList();
            Assert.Equal((side.Written, side.Empty, side.Failed), (own.Count(row => row.Status is CompletionStatus.Written), own.Count(row => row.Status is CompletionStatus.Empty), own.Count(row => row.Status is CompletionStatus.Failed)));
            Assert.Equal(side.Written, own.Count(row => row.ResponseId is not null));
            Assert.True(side.Written > 0.9 * side.Asked, $"{side}: the policies can write");
            Assert.Contains(progress.Lines, line => line == $"{(side.Side is AuditSide.Audited ? "DPO policy" : "stories260K")}: {side.Written} of {side.Asked} completions came, {side.Empty} empty, {side.Refused} refused, {side.Failed} failed.");
        }
        // Log-probabilities of every text under both policies, so log-ratios of every pair; the policy finds its own texts likelier than the base does.
        var written = rows.Where(row => row.Status is CompletionStatus.Written).ToList();
        Assert.All(written, row => Assert.True(row is { LogProbAudited: < 0, LogProbBase: < 0 }, $"{row.TextId} has no log-probability under both"));
        Assert.Equal(report.Census.Pairs, report.Provenance.LogRatios);
        double Ratio(AuditSide side) => written.Where(row => row.Side == side).Average(row => row.LogProbAudited!.Value - row.LogProbBase!.Value); // there: see above
        Assert.True(Ratio(AuditSide.Audited) > 0 && Ratio(AuditSide.Base) < 0, $"{Ratio(AuditSide.Audited)} and {Ratio(AuditSide.Base)}: the mean log-ratio is a divergence on either side");
        // The census by the criterion, which the policy was trained on.
        var cells = report.Census.Cells!;
        Assert.Equal(("lexicon", report.Census.Pairs), (cells.By, cells.Pairs));
        Assert.True(cells.BadToGood >= cells.GoodToBad, $"{cells.BadToGood} pairs lost their direct speech, {cells.GoodToBad} got some");
        var kept = (from row in read.AuditTexts where row.JobId == run.JobId join r in read.Responses on row.ResponseId equals r.Id join c in read.Contents on r.ContentId equals c.Id select new { row.Side, c.Text }).ToList();
        int Speech(AuditSide side) => kept.Count(text => text.Side == side && text.Text!.Contains('"')); // nobody erased it
        Assert.True(Speech(AuditSide.Audited) < Speech(AuditSide.Base), $"{Speech(AuditSide.Audited)} of the policy's completions have direct speech, {Speech(AuditSide.Base)} of the base's");
        // Sixty pairs carry no verdict; everything was fitted all the same, the white-box method too.
        Assert.Contains(report.Verdict.Reasons, reason => reason.Kind == "TooFewPairs");
        Assert.True(audit.IsGrey);
        Assert.Equal(["failure-aware-reweight", "max-entropy", "log-ratio-ridge", "capacity-control", "random-head", "shuffled-max-entropy"], report.Methods.Select(method => method.Name));
        Assert.All(report.Methods, method => Assert.Null(method.WhyNot));
        Notes.Write(string.Create(CultureInfo.InvariantCulture,
            $"stories260K through the endpoint: DPO on {stories.Pairs} pairs, {cells.BadToGood} pairs lost direct speech and {cells.GoodToBad} got some of {cells.Pairs}; {Ratio(AuditSide.Audited):F2} nats from the base"));
    }

    /// <summary>The number comes from elsewhere: a pass over the weights themselves, prompt and answer as one text, as llama2.c reads it.</summary>
    [SharedFact]
    public async Task Log_probabilities_over_HTTP_are_those_of_the_weights()
    {
        (string Prompt, string Answer)[] pairs = [.. stories.Openings.Take(3).SelectMany(opening => new[] { (opening, " She was very happy."), (opening, " \"Hello,\" he said.") })];
        IReadOnlyList<int> begin = [stories.Tokenizer.BosId!.Value]; // llama2.c's vocabulary has one
        var cut = pairs.Select(pair => (Prompt: stories.Tokenizer.Encode(pair.Prompt), Whole: stories.Tokenizer.Encode(pair.Prompt + pair.Answer))).ToList();
        Assert.All(cut, ids => Assert.Equal(ids.Prompt, ids.Whole[..ids.Prompt.Length])); // no token spans the prompt's end
        var expected = AnswerLogProbs.Of(stories.Policy, [.. cut.Select(ids => (IReadOnlyList<int>)[.. begin, .. ids.Prompt])], [.. cut.Select(ids => new Continuation([.. ids.Whole[ids.Prompt.Length..]], [], false))], stories.Tokenizer.PadId, default);

        using var client = await stories.Client();
        var batch = await client.Score([.. pairs.Select(pair => ((IReadOnlyList<Turn>)[new Turn("user", pair.Prompt)], pair.Answer))], TextOrigin.People, null, default);

        Assert.All(batch.Results, result => Assert.Null(result.Problem));
        Assert.All(batch.Results.Zip(expected), pair => Assert.Equal(pair.Second, pair.First.LogProb!.Value, 1e-3)); // no problem, so a number
        Assert.NotEqual(expected[0], expected[1], 1e-2); // a score that tells nothing apart would pass else
    }

    /// <summary>Negative control: the same audit with an operator who allows nothing, or another port. Without a key the address is refused; with one the key is held back before that.</summary>
    [SharedFact]
    public async Task Without_the_operators_word_nothing_is_sent_and_nothing_is_written()
    {
        foreach (var (guard, spec, begin, reason) in new[]
        {
            (new AddressGuard([]), stories.Spec with { AuditedEndpointId = stories.WithoutKey.Id, BaseEndpointId = null }, $"localhost:{stories.Port} leads to ", "an address that is not on the public internet, so nothing was sent"),
            (new AddressGuard(["localhost:1"]), stories.Spec with { AuditedEndpointId = stories.WithoutKey.Id, BaseEndpointId = null }, $"localhost:{stories.Port} leads to ", "an address that is not on the public internet, so nothing was sent"),
            (new AddressGuard([]), stories.Spec, $"http://localhost:{stories.Port}/v1 is not encrypted", "so nothing was sent"),
        })
        {
            var run = stories.Job(new SeenProgress());

            var refused = await Assert.ThrowsAsync<CannotTrain>(() => new AuditRewardRunner(guard).Run(spec, run));

            Assert.StartsWith(begin, refused.Message, StringComparison.Ordinal);
            Assert.Contains(reason, refused.Message, StringComparison.Ordinal);
            Assert.Contains($"{AddressGuard.Variable}=localhost:{stories.Port}", refused.Message, StringComparison.Ordinal);
            using var db = stories.Database.Open();
            Assert.False(db.AuditTexts.Any(t => t.JobId == run.JobId));
            Assert.False(db.PolicyAudits.Any(a => a.JobId == run.JobId));
            var name = run.JobId.Value.ToString("N");
            Assert.False(Directory.Exists(Path.Combine(stories.Database.Directory.Audits, name)));
            Assert.Empty(Directory.EnumerateFiles(Path.Combine(stories.Database.Directory.Checkpoints, name), "texts-*", SearchOption.AllDirectories));
        }
    }
}
