using System.Text.Json;
using System.Text.RegularExpressions;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.Registry;
using Portal.Data.Storage;
using Portal.Engine.Datasets.Formats;
using Conversation = Portal.Data.Feedback.Conversation;

namespace Portal.Engine.TinyAssistant;

/// <summary>An answer that the demo shipped, and what an installation calls it.</summary>
/// <param name="Question">The last turn of its prompt.</param>
/// <param name="IsPolicys">The shipped policy wrote it, and nobody judged it; otherwise the base did, and the crowd judged it.</param>
/// <param name="Lead">What speaks for it: of the policy's its reward above the mean of the base's to the same prompt, of the base's the votes it won less those it lost.</param>
internal sealed record DemoAnswer(ResponseId Response, string Question, string Text, bool IsPolicys, double Lead);

/// <summary>
/// What the demo's things are called, whatever ids an installation gave them: <c>demo:judgement:bf5e1590178d</c> and <c>demo:response:4fe348f7b284</c> are lines of project.jsonl by their ids, <c>demo:sample:17</c> is a line of the policy's samples.jsonl, <c>demo:reward</c>,
/// <c>demo:policy</c>, <c>demo:dataset</c> and <c>demo:project</c> are what they say. What a file makes itself (<c>demo:job</c>, <c>demo:flag:1</c>, <c>demo:explanation:1</c>) gets new ids wherever it is stored.
/// </summary>
internal sealed partial class DemoNames
{
    private const string Prefix = "demo:";

    private static readonly string[] madeByFile = ["job", "flag:", "explanation:"];

    private readonly Dictionary<string, Guid> ids = new(StringComparer.Ordinal);
    private readonly Dictionary<Guid, string> names = [];

    private DemoNames(ProjectId project, ModelVersion reward, DatasetVersionId dataset, ModelVersion policy)
    {
        (Project, Reward, Dataset) = (project, reward, dataset);
        Add("project", project.Value);
        Add("reward", reward.Id.Value);
        Add("dataset", dataset.Value);
        Add("policy", policy.Id.Value);
    }

    public ProjectId Project { get; }

    /// <summary>The shipped reward model, and the data it was trained on.</summary>
    public ModelVersion Reward { get; }
    public DatasetVersionId Dataset { get; }

    /// <summary>The base's answers that were judged and the policy's that were compared, in the order of their lines, as far as they are there.</summary>
    public IReadOnlyList<DemoAnswer> Answers { get; private set; } = [];

    /// <summary>Reads the names of a project.</summary>
    /// <returns>Null where it has no shipped reward model on judgements of its own, or no shipped policy.</returns>
    public static async Task<DemoNames?> Of(PortalDbContext db, ContentHasher hasher, string assets, ProjectId project, CancellationToken stop)
    {
        var known = await db.ModelVersions.AsNoTracking().Where(v => v.ProjectId == project).ToListAsync(stop);
        if (DemoModels.Shipped(assets, DemoModels.RewardFolder, known) is not { DatasetVersionId: { } dataset } reward || DemoModels.Shipped(assets, DemoModels.PolicyFolder, known) is not { } policy)
            return null;
        var made = new DemoNames(project, reward, dataset, policy);
        await made.ReadRows(db, hasher, Path.Combine(assets, MakeDemo.ProjectFile), stop);
        await made.ReadSamples(db, hasher, Path.Combine(assets, DemoModels.PolicyFolder, DemoModels.SamplesFile), policy.Id, stop);
        return made;
    }

    /// <summary>Names something; of two names for one id the first is written.</summary>
    public void Add(string name, Guid id)
    {
        ids[name] = id;
        names.TryAdd(id, name);
    }

    /// <exception cref="KeyNotFoundException">It has none.</exception>
    public string NameOf(Guid id) => names[id];

    /// <summary>A text with names in the place of ids.</summary>
    /// <exception cref="CannotTrain">An id has no name: the text would mean nothing elsewhere.</exception>
    public string ToNames(string text) => AnId.Replace(text, found => names.TryGetValue(Guid.Parse(found.Value), out var name) ? Prefix + name
        : throw new CannotTrain($"{found.Value} is of this installation only, and no other could find it."));

    /// <summary>The text with an installation's ids in the place of names; null where it lacks one of them.</summary>
    public string? ToIds(string text, IdFactory fresh)
    {
        var lacks = false;
        var made = new Dictionary<string, Guid>(StringComparer.Ordinal);
        var full = AName.Replace(text, found =>
        {
            var name = found.Groups["name"].Value;
            if (Array.Exists(madeByFile, own => name.StartsWith(own, StringComparison.Ordinal)))
                return $"{(made.TryGetValue(name, out var known) ? known : made[name] = fresh.New<FlagId>().Value)}"; // every kind of id is made alike
            lacks |= !ids.TryGetValue(name, out var id);
            return $"{id}";
        });
        return lacks ? null : full;
    }

    /// <summary>A judgement of the file is who gave it and when, as nobody gives two at once; a response is its prompt and its text.</summary>
    private async Task ReadRows(PortalDbContext db, ContentHasher hasher, string path, CancellationToken stop)
    {
        var judgements = (await (from j in db.PairwiseJudgements.AsNoTracking()
                                 where j.ProjectId == Project && j.Source == JudgementSource.Simulated
                                 join a in db.Annotators on j.AnnotatorId equals a.Id
                                 select new { j.Id, a.Pseudonym, j.SubmittedAt }).ToListAsync(stop)).ToLookup(j => (j.Pseudonym, j.SubmittedAt.ToUnixTimeMilliseconds()), j => j.Id);
        var responses = (await (from r in db.Responses.AsNoTracking()
                                where r.ProjectId == Project && r.ImportId != null
                                join p in db.Prompts on r.PromptId equals p.Id
                                where p.ExternalId != null
                                select new { r.Id, p.ExternalId, r.ContentHash }).ToListAsync(stop)).ToLookup(r => (r.ExternalId!, r.ContentHash), r => r.Id); // asked for
        var (questions, lead, answers) = (new Dictionary<string, string>(StringComparer.Ordinal), new Dictionary<string, int>(StringComparer.Ordinal), new List<(string Id, DemoAnswer Answer)>());
        await using var file = File.OpenRead(path);
        foreach (var line in ImportReader.ReadAll(file, MakeDemo.ProjectFile, new ImportOptions { Format = ImportFormat.PortalJsonl }, stop))
        {
            switch (line.Record)
            {
                case PromptRecord prompt:
                    questions.Add(prompt.Id, prompt.Messages[^1].Text);
                    break;
                case ResponseRecord response when responses[(response.PromptId, hasher.Hash(response.Text))].ToList() is [var found]:
                    Add($"response:{response.Id}", found.Value);
                    answers.Add((response.Id, new DemoAnswer(found, questions[response.PromptId], response.Text, IsPolicys: false, Lead: 0)));
                    break;
                case PairwiseRecord { JudgedAt: { } at } vote:
                    if (judgements[(vote.Annotator, at.ToUnixTimeMilliseconds())].ToList() is [var judgement])
                        Add($"judgement:{vote.Id}", judgement.Value);
                    var first = vote.Verdict is Datasets.Formats.PairVerdict.FirstBetter ? 1 : vote.Verdict is Datasets.Formats.PairVerdict.SecondBetter ? -1 : 0;
                    lead[vote.ResponseAId] = lead.GetValueOrDefault(vote.ResponseAId) + first;
                    lead[vote.ResponseBId] = lead.GetValueOrDefault(vote.ResponseBId) - first;
                    break;
            }
        }
        Answers = [.. Answers, .. answers.Select(entry => entry.Answer with { Lead = lead.GetValueOrDefault(entry.Id) })];
    }

    private async Task ReadSamples(PortalDbContext db, ContentHasher hasher, string path, ModelVersionId policy, CancellationToken stop)
    {
        if (!File.Exists(path))
            return;
        var stored = await (from s in db.EvaluationSamples.AsNoTracking()
                            where s.CandidateId == policy && s.SampledFromId == policy
                            join p in db.Prompts on s.PromptId equals p.Id
                            select new { p.ContentHash, s.Ordinal, s.ResponseId }).ToDictionaryAsync(s => (s.ContentHash, s.Ordinal), s => s.ResponseId, stop);
        var samples = File.ReadLines(path).Select(line => JsonSerializer.Deserialize<DemoSample>(line, InstallDemo.Json)!).Select(sample => (Sample: sample, Prompt: hasher.Hash(Conversation.Serialize(sample.Prompt)))).ToList(); // we wrote it: no line is null
        var usual = samples.Where(entry => entry.Sample.IsBefore).GroupBy(entry => entry.Prompt).ToDictionary(prompt => prompt.Key, prompt => prompt.Average(entry => entry.Sample.Reward ?? 0));
        var answers = new List<DemoAnswer>();
        foreach (var (i, (sample, prompt)) in samples.Index().Where(entry => !entry.Item.Sample.IsBefore))
        {
            if (!stored.TryGetValue((prompt, sample.Ordinal), out var response))
                continue;
            Add($"sample:{i + 1}", response.Value);
            answers.Add(new DemoAnswer(response, Conversation.LastQuestion(sample.Prompt), sample.Text, IsPolicys: true, (sample.Reward ?? 0) - usual.GetValueOrDefault(prompt)));
        }
        Answers = [.. Answers, .. answers];
    }

    [GeneratedRegex("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")]
    private static partial Regex AnId { get; }

    [GeneratedRegex("demo:(?<name>[a-z]+(:[0-9a-z]+)?)")]
    private static partial Regex AName { get; }
}
