using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Security.Cryptography;
using Microsoft.AspNetCore.Builder;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Data.Serving;
using Portal.Data.Storage;
using Portal.Engine.Jobs;
using Portal.Engine.Sae;
using Portal.Engine.Serving;
using Portal.Engine.Statistics;

namespace Portal.Bench;

/// <summary>
/// How long a person who moves a factor waits: previews over the engine's door (its socket, token and JSON), each with other toggles and every fifth with another target, on made-up codes and texts in a
/// SQLite database of their own. The first preview, which reads codes and texts, is a row of its own.
/// </summary>
internal sealed class TogglePreviewBench(bool quick)
{
    /// <summary>The cases: name and pairs.</summary>
    public static readonly IReadOnlyList<(string Name, int Pairs)> Cases = [("toggle-preview-10k", 10_000), ("toggle-preview-100k", 100_000)];

    /// <summary>The longest that the 95th of 100 people may wait.</summary>
    private const double LimitMilliseconds = 1_000;

    private const int Latents = 2_048, Width = 16, PairsPerPrompt = 4;

    private static readonly string[] Words = ["tree", "lamp", "river", "cloud", "stone", "bread", "glass", "paper", "garden", "window", "market", "button", "winter", "silver", "pocket", "kettle", "please", "sorry", "lovely", "never"];

    private int Requests => quick ? 5 : 60;

    /// <summary>Runs one case.</summary>
    public async Task<IReadOnlyList<BenchRow>> Run(string name, int pairs, Action<string> say, CancellationToken stop)
    {
        // A socket's path is short, the bench's folder need not be.
        var directory = new DataDirectory(Directory.CreateTempSubdirectory("portal-bench-").FullName);
        try
        {
            directory.Create();
            var model = await Write(directory, quick ? pairs / 100 : pairs, stop);
            say($"{name}: rows and codes are written");
            await using var app = await Open(directory, stop);
            using var http = Client(directory);
            var random = new SeededRandom(9);
            var first = await Time(http, Ask(model, random, 0), stop);
            var times = new List<double>();
            for (var i = 1; i <= Requests; i++)
                times.Add(await Time(http, Ask(model, random, i), stop));
            await app.StopAsync(stop);
            double[] sorted = [.. times.Order()];
            return
            [
                new BenchRow { Name = $"{name}-first", Ours = first, Unit = "ms" },
                new BenchRow { Name = $"{name}-p50", Ours = Bootstrap.Quantile(sorted, 0.5), Unit = "ms", Range = (sorted[0], sorted[^1]) },
                new BenchRow { Name = $"{name}-p95", Ours = Bootstrap.Quantile(sorted, 0.95), Unit = "ms", Limit = LimitMilliseconds },
            ];
        }
        finally
        {
            Microsoft.Data.Sqlite.SqliteConnection.ClearAllPools();
            Directory.Delete(directory.Root, recursive: true);
        }
    }

    private static TogglePreviewRequest Ask(ModelVersionId model, SeededRandom random, int number) => new($"{model}",
        [.. Enumerable.Range(0, 1 + number % 4).Select(_ => random.NextInt(64)).Distinct().Select(latent => new Toggle(latent, random.Pick([0.0, -1, 0.5, 2, 10])))],
        Words[number / 5 % Words.Length] + "|" + Words[(number / 5 + 7) % Words.Length], Seed: number);

    private static async Task<double> Time(HttpClient http, TogglePreviewRequest request, CancellationToken stop)
    {
        var watch = Stopwatch.StartNew();
        using var response = await http.PostAsJsonAsync(TogglePreviewRequest.Route, request, ServingJson.Options, stop);
        if (!response.IsSuccessStatusCode)
            throw new InvalidOperationException($"the door refused: {await response.Content.ReadAsStringAsync(stop)}");
        var answer = await response.Content.ReadFromJsonAsync<TogglePreviewResponse>(ServingJson.Options, stop);
        return answer is { Pairs: > 0, OnTarget.Pairs: > 0 } ? watch.Elapsed.TotalMilliseconds : throw new InvalidOperationException("the preview is about no pairs, or none on target");
    }

    private static async Task<WebApplication> Open(DataDirectory directory, CancellationToken stop)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.AddPortalData(new PortalDataOptions(directory));
        EngineHttp.AddTo(builder, directory);
        ModelServing.AddTo(builder.Services);
        var app = builder.Build();
        EngineHttp.Map(app, directory);
        await app.StartAsync(stop);
        return app;
    }

    private static HttpClient Client(DataDirectory directory)
    {
        var http = new HttpClient(new SocketsHttpHandler
        {
            ConnectCallback = async (_, stop) =>
            {
                var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                await socket.ConnectAsync(new UnixDomainSocketEndPoint(directory.EngineSocket), stop);
                return new NetworkStream(socket, ownsSocket: true);
            },
        }) { BaseAddress = new Uri("http://engine/") };
        http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", directory.ReadEngineToken());
        return http;
    }

    /// <summary>Prompts of four responses, four judged pairs among them; latents fire the more often the lower their number, as live ones do.</summary>
    private static async Task<ModelVersionId> Write(DataDirectory directory, int pairs, CancellationToken stop)
    {
        await using var services = new ServiceCollection().AddPortalData(new PortalDataOptions(directory)).BuildServiceProvider();
        var contexts = services.GetRequiredService<IDbContextFactory<PortalDbContext>>();
        var (ids, hasher, now, random) = (services.GetRequiredService<IdFactory>(), services.GetRequiredService<ContentHasher>(), TimeProvider.System.GetUtcNow(), new SeededRandom(4));
        var (project, model, description) = (ids.New<ProjectId>(), ids.New<ModelVersionId>(), ids.New<FeatureDescriptionId>());
        await using (var db = await contexts.CreateDbContextAsync(stop))
        {
            await db.Database.MigrateAsync(stop);
            db.Projects.Add(new Project { Id = project, Name = "Toggles", CreatedAt = now });
            await db.SaveChangesAsync(stop);
        }
        var prompts = pairs / PairsPerPrompt;
        var (responses, judged) = (new List<ResponseId>(), new List<CodedPair>());
        foreach (var some in Enumerable.Range(0, prompts).Chunk(500))
        {
            await using var db = await contexts.CreateDbContextAsync(stop);
            db.ChangeTracker.AutoDetectChangesEnabled = false;
            foreach (var number in some)
            {
                var asked = Text(db, ContentKind.Prompt, Conversation.Serialize([new Turn("user", $"Question {number}")]));
                var prompt = new Prompt { Id = ids.New<PromptId>(), ProjectId = project, ContentId = asked.Id, ContentHash = asked.KeyedHash, CreatedAt = now };
                db.Prompts.Add(prompt);
                for (var response = 0; response < 4; response++)
                {
                    var text = Text(db, ContentKind.Response, string.Join(' ', Enumerable.Range(0, 30).Select(_ => random.Pick(Words))) + $" {number}.{response}");
                    responses.Add(ids.New<ResponseId>());
                    db.Responses.Add(new Response { Id = responses[^1], ProjectId = project, PromptId = prompt.Id, ContentId = text.Id, ContentHash = text.KeyedHash, CreatedAt = now });
                }
                for (var pair = 0; pair < PairsPerPrompt; pair++)
                    judged.Add(new CodedPair(prompt.Id, (4 * number) + pair, (4 * number) + ((pair + 1 + random.NextInt(3)) % 4), 1, number % 2 == 0));
            }
            await db.SaveChangesAsync(stop);
        }
        var (indices, values) = (new int[responses.Count * Width], new float[responses.Count * Width]);
        for (var i = 0; i < indices.Length; i++)
            (indices[i], values[i]) = (Latent(i), 0.1f + (float)random.NextDouble());
        var codes = new FeatureCodes { Latents = Latents, Width = Width, Responses = responses, Indices = indices, Values = values, Pairs = judged };
        var path = Path.Combine(directory.Features, $"codes-{description}");
        codes.Write(path);
        SarmFolder.WriteHead(Directory.CreateDirectory(Path.Combine(directory.Models, "sarm")).FullName, [.. Enumerable.Range(0, Latents).Select(_ => (float)random.NextGaussian())]);
        await using (var db = await contexts.CreateDbContextAsync(stop))
        {
            var store = new ModelStore(contexts, services.GetRequiredService<WriteQueue>(), directory, ids, TimeProvider.System);
            db.ModelVersions.Add(new ModelVersion
            {
                Id = model, ProjectId = project, Kind = ModelKind.RewardModel, Number = 1, Method = "SARM", ParentId = null, DatasetVersionId = null, JobId = null, SpecJson = "{}", Seed = 1, Commit = "bench",
                Folder = "sarm", FilesJson = store.FilesJson("sarm"), IsSynthetic = true, CreatedAt = now,
            });
            db.FeatureDescriptions.Add(new FeatureDescription
            {
                Id = description, ProjectId = project, ModelVersionId = model, Latents = Latents, Responses = responses.Count, SentenceEnds = 0, Pairs = judged.Count, PromptsDiscovery = prompts / 2,
                PromptsTest = prompts / 2, SpecJson = "{}", CodesSha256 = Convert.ToHexStringLower(SHA256.HashData(await File.ReadAllBytesAsync(path, stop))), At = now,
            });
            await db.SaveChangesAsync(stop);
        }
        return model;

        // Distinct within a response: each of its 16 places has latents of its own.
        int Latent(int place) => (place % Width) + (Width * (int)(Latents / Width * Math.Pow(random.NextDouble(), 3)));

        Content Text(PortalDbContext db, ContentKind kind, string text)
        {
            var content = new Content { Id = ids.New<ContentId>(), ProjectId = project, Kind = kind, Text = text, KeyedHash = hasher.Hash(text), CreatedAt = now };
            db.Contents.Add(content);
            return content;
        }
    }
}
