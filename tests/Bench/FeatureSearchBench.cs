using System.Diagnostics;
using System.Globalization;
using System.Security.Claims;
using System.Text.Json;
using Microsoft.AspNetCore.Identity;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Portal.Data;
using Portal.Data.Accounts;
using Portal.Data.Feedback;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Data.Storage;
using Portal.Engine.Statistics;
using Portal.Web.Accounts;
using Portal.Web.SaeFeatures;
using Portal.Web.Shell;

namespace Portal.Bench;

/// <summary>
/// How long a reviewer waits who searches the table of features: the handler of the features page, permission check included, on 65,536 made-up features with a label each (every eighth has a second
/// version) in a SQLite database of their own. A search is a word of many labels, two words of few, or a number, in each order of the table in turn. The first one, which ranks all features, is a row of
/// its own. What the browser and the page's markup take is not in it.
/// </summary>
internal sealed class FeatureSearchBench(bool quick)
{
    public const string Case = "feature-search";

    private static readonly string[] Words =
    [
        "mill", "bakery", "insult", "refusal", "compliment", "apology", "question", "number", "river", "church", "warning", "promise", "list", "joke", "story", "greeting", "farewell", "thanks", "doubt", "praise",
        "recipe", "weather", "money", "family", "garden", "window", "market", "button", "winter", "silver", "pocket", "kettle", "street", "tower", "bridge", "letter", "music", "paper", "stone", "bread",
    ];

    private int Latents => quick ? 1_024 : 65_536;
    private int Searches => quick ? 5 : 60;

    /// <summary>Runs the case.</summary>
    public async Task<IReadOnlyList<BenchRow>> Run(Action<string> say, CancellationToken stop)
    {
        var directory = new DataDirectory(Directory.CreateTempSubdirectory("portal-bench-").FullName);
        try
        {
            directory.Create();
            await using var services = new ServiceCollection().AddPortalData(new PortalDataOptions(directory)).BuildServiceProvider();
            var contexts = services.GetRequiredService<IDbContextFactory<PortalDbContext>>();
            var ids = services.GetRequiredService<IdFactory>();
            var (project, reviewer) = await Write(contexts, ids, stop);
            say(string.Create(CultureInfo.InvariantCulture, $"{Case}: {Latents} features are written"));
            using var engine = new EngineClient(directory);
            var show = new ShowFeatures(contexts, new Access(contexts, services.GetRequiredService<WriteQueue>(), ids, TimeProvider.System), new FeatureRanks(), engine);
            var random = new SeededRandom(9);
            var first = await Time(show, reviewer, project, Ask(random, 0), stop);
            var times = new List<double>();
            for (var i = 1; i <= Searches; i++)
                times.Add(await Time(show, reviewer, project, Ask(random, i), stop));
            double[] sorted = [.. times.Order()];
            return
            [
                new BenchRow { Name = $"{Case}-first", Ours = first, Unit = "ms" },
                new BenchRow { Name = $"{Case}-p50", Ours = Bootstrap.Quantile(sorted, 0.5), Unit = "ms", Range = (sorted[0], sorted[^1]) },
                new BenchRow { Name = $"{Case}-p95", Ours = Bootstrap.Quantile(sorted, 0.95), Unit = "ms" },
            ];
        }
        finally
        {
            Microsoft.Data.Sqlite.SqliteConnection.ClearAllPools();
            Directory.Delete(directory.Root, recursive: true);
        }
    }

    private FeatureFilter Ask(SeededRandom random, int number)
    {
        var found = 2 * random.NextInt(Latents / 2); // even ones fire
        return new FeatureFilter(Find: (number % 3) switch { 0 => Label(found).Split(' ')[0], 1 => string.Join(' ', Label(found).Split(' ').Take(2)), _ => found.ToString(CultureInfo.InvariantCulture) },
            Sort: Enum.GetValues<FeatureSort>()[number % Enum.GetValues<FeatureSort>().Length], Ascending: number % 2 == 1);
    }

    private static async Task<double> Time(ShowFeatures show, ClaimsPrincipal reviewer, ProjectId project, FeatureFilter filter, CancellationToken stop)
    {
        var watch = Stopwatch.StartNew();
        var view = (await show.Handle(reviewer, project, null, filter, null, stop)).Value;
        var time = watch.Elapsed.TotalMilliseconds;
        return view.Rows.Count > 0 && view.Rows.All(row => row.Label!.Text.Contains(filter.Find!, StringComparison.Ordinal) || $"{row.Latent}" == filter.Find) // all are labelled, all searches have words
            ? time : throw new InvalidOperationException($"the search for \"{filter.Find}\" found {view.Rows.Count} features, or others");
    }

    private static string Label(int latent) => string.Join(' ', new[] { latent, latent / Words.Length, latent / Words.Length / Words.Length }.Select(part => Words[part % Words.Length]));

    private async Task<(ProjectId Project, ClaimsPrincipal Reviewer)> Write(IDbContextFactory<PortalDbContext> contexts, IdFactory ids, CancellationToken stop)
    {
        var (now, random) = (TimeProvider.System.GetUtcNow(), new SeededRandom(4));
        var (project, model, description, account) = (ids.New<ProjectId>(), ids.New<ModelVersionId>(), ids.New<FeatureDescriptionId>(), Guid.NewGuid());
        await using (var db = await contexts.CreateDbContextAsync(stop))
        {
            await db.Database.MigrateAsync(stop);
            var role = new IdentityRole<Guid>(RoleNames.Reviewer) { Id = Guid.NewGuid(), NormalizedName = RoleNames.Reviewer.ToUpperInvariant() };
            db.AddRange(role, new Account { Id = account, UserName = "bench", NormalizedUserName = "BENCH", DisplayName = "bench", CreatedAt = now }, new IdentityUserRole<Guid> { UserId = account, RoleId = role.Id });
            db.Projects.Add(new Project { Id = project, Name = "Features", CreatedAt = now });
            db.ModelVersions.Add(new ModelVersion
            {
                Id = model, ProjectId = project, Kind = ModelKind.RewardModel, Number = 1, Method = "SARM", ParentId = null, DatasetVersionId = null, JobId = null, SpecJson = "{}", Seed = 1, Commit = "bench",
                Folder = "sarm", FilesJson = JsonSerializer.Serialize(new[] { new ModelFile(ModelVersion.FeatureHeadFile, 1, new string('a', 64)) }), IsSynthetic = true, CreatedAt = now,
            });
            db.FeatureDescriptions.Add(new FeatureDescription
            {
                Id = description, ProjectId = project, ModelVersionId = model, Latents = Latents, Responses = 100_000, SentenceEnds = 250_000, Pairs = 40_000, PromptsDiscovery = 5_000, PromptsTest = 5_000,
                SpecJson = "{}", CodesSha256 = new string('c', 64), At = now,
            });
            await db.SaveChangesAsync(stop);
        }
        foreach (var some in Enumerable.Range(0, Latents).Chunk(2_048))
        {
            await using var db = await contexts.CreateDbContextAsync(stop);
            db.ChangeTracker.AutoDetectChangesEnabled = false;
            db.SaeFeatures.AddRange(some.Select(Feature));
            db.FeatureLabels.AddRange(some.Where(latent => latent % 8 == 0).Select(latent => Named(latent, 1, "an earlier guess")));
            db.FeatureLabels.AddRange(some.Select(latent => Named(latent, latent % 8 == 0 ? 2 : 1, Label(latent))));
            await db.SaveChangesAsync(stop);
        }
        return (project, new ClaimsPrincipal(new ClaimsIdentity([new Claim(ClaimTypes.NameIdentifier, $"{account}")], "bench")));

        SaeFeature Feature(int latent)
        {
            var (fires, scored) = (latent % 2 == 0, latent % 4 == 0);
            double Number() => random.NextGaussian();
            return new SaeFeature
            {
                DescriptionId = description, Latent = latent, FiringAtEnd = fires ? 1 + random.NextInt(4_000) : 0, FiringAtSentence = random.NextInt(9_000), ActivationMax = 4 * random.NextDouble(),
                ActivationMean = random.NextDouble(), HeadWeight = Number(), ContributionMean = Number(), GapContribution = Number(), PairsDiffering = random.NextInt(2_000), RewardAuc = fires ? random.NextDouble() : null,
                SelectionScore = scored ? Number() : null, SelectionP = scored ? random.NextDouble() : null, SelectionQ = scored ? random.NextDouble() : null, ResidualScore = scored ? Number() : null,
                ResidualP = scored ? random.NextDouble() : null, ResidualQ = scored ? random.NextDouble() : null,
                HistogramJson = JsonSerializer.Serialize(new ActivationHistogram(4, [.. Enumerable.Range(0, 20).Select(_ => random.NextInt(300))], [.. Enumerable.Range(0, 20).Select(_ => random.NextInt(900))])),
                RelatedJson = JsonSerializer.Serialize(Enumerable.Range(0, 10).Select(_ => new RelatedFeature(random.NextInt(Latents), random.NextDouble(), random.NextDouble()))),
                VotersJson = JsonSerializer.Serialize(Enumerable.Range(0, 8).Select(_ => new VoterShare(ids.New<AnnotatorId>(), random.NextInt(90), random.NextDouble(), random.NextDouble()))),
            };
        }

        FeatureLabel Named(int latent, int version, string text) => new()
        {
            Id = ids.New<FeatureLabelId>(), ProjectId = project, ModelVersionId = model, Latent = latent, Version = version, Text = text, Pattern = text, Source = LabelSource.Keyword, Author = null, At = now,
            Detection = 0.5 + (random.NextDouble() / 2), DetectionLow = null, DetectionHigh = null, Fuzzing = 0.5, ScoredOn = 60,
        };
    }
}
