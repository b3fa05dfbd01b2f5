using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Datasets;
using Portal.Data.Feedback;
using Portal.Data.Jobs;
using Portal.Data.JobSpecs;
using Portal.Data.Storage;
using Portal.Data.Unlearning;

namespace Portal.Engine.Datasets;

/// <summary>
/// Freezes the judgements of a project into a <see cref="DatasetVersion"/>: which rows, in which order, under which rules, split by prompt,
/// sealed by one hash. What became of each verdict is told at the head of <see cref="PreferenceDataset"/>.
/// </summary>
/// <remarks>
/// <para>Each judgement that counts is a row of its own with weight 1: three people who agree on a pair are three rows, and one who
/// disagrees is a fourth that pulls the other way. Nothing is voted away before training. A released request may have turned one round or weighed it down; its row names that request.</para>
/// <para>The part of a prompt follows from its words alone (<see cref="PromptSplit"/>), so all rows of a prompt, and of a prompt that
/// differs in capitals or spaces only, are in one part, in this version and in every later one with the same seed.</para>
/// <para>The hash covers header and rows with keyed hashes of the texts, never the texts: erasing a text leaves it valid. The number of
/// the version is not part of it, so the same rows under the same rules are recognised and not stored twice.</para>
/// <para>An erased judgement leaves a version altogether: <see cref="TakeOut"/> is the one change a sealed version knows, and the erasure's proof holds the seal before and after.</para>
/// <para>Rows are written in small batches with pauses, so that people who judge meanwhile do not wait. A version whose rows are not all
/// there (the engine was killed) belongs to no model; the next build removes it.</para>
/// </remarks>
public sealed class DatasetManifest(IDbContextFactory<PortalDbContext> contexts, WriteQueue writes, ContentHasher hasher, IdFactory ids, TimeProvider time)
{
    private const int BatchRows = 250;
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(15);

    /// <summary>Builds the version, or finds the one that holds exactly this already.</summary>
    /// <param name="kind">Pairs or single verdicts.</param>
    /// <param name="job">The job it is made for; null outside the queue.</param>
    /// <param name="actor">Who asked, for the audit log; null for the system.</param>
    /// <exception cref="CannotTrain">The rules make no sense, or no judgement can be used; the message counts why.</exception>
    public async Task<DatasetVersionId> Build(ProjectId project, TaskKind kind, DatasetRules rules, JobId? job, Guid? actor, CancellationToken stop)
    {
        if (rules.HeldOutShare is not (>= 0.02 and <= 0.5))
            throw new CannotTrain($"The held-out share is {rules.HeldOutShare}; it must be between 0.02 and 0.5.");
        await RemoveUnfinished(job, stop);
        var dropped = new SortedDictionary<string, int>(StringComparer.Ordinal);
        List<Candidate> judged;
        await using (var db = await contexts.CreateDbContextAsync(stop))
        {
            judged = kind is TaskKind.Pairwise ? await Pairs(db, project, rules, stop) : await Verdicts(db, project, rules, stop);
            foreach (var reason in judged.Select(j => j.Dropped).OfType<string>())
                dropped[reason] = dropped.GetValueOrDefault(reason) + 1;
        }
        var used = judged.Where(j => j.Dropped is null).ToList();
        if (used.Count == 0)
            throw new CannotTrain($"There is no usable {(kind is TaskKind.Pairwise ? "pair" : "verdict")} among {judged.Count} judgements"
                + (dropped.Count == 0 ? "." : $": {string.Join(", ", dropped.Select(d => $"{d.Value} {d.Key}"))}."));

        var parts = await SplitPrompts(used.Select(j => j.PromptId).ToHashSet(), rules, stop);
        var rulesJson = JsonSerializer.Serialize(rules);
        var id = ids.New<DatasetVersionId>();
        var rows = used.Select((j, ordinal) => new DatasetRow
        {
            DatasetVersionId = id, Ordinal = ordinal, JudgementId = j.Id, PromptId = j.PromptId, Part = parts[j.PromptId], ChosenId = j.ChosenId,
            RejectedId = j.RejectedId, Label = j.Label, Margin = j.Margin, Weight = j.Weight, ChangedBy = j.ChangedBy,
            ContentHash = HashOf(j.PromptHash, j.ChosenHash, j.RejectedHash, j.Label, j.Margin, j.Weight),
        }).ToList();
        var hash = ManifestHash(project, kind, rulesJson, rows);
        return await Store(id, project, kind, rulesJson, hash, rows, dropped, used.Count(j => j.IsSimulated), job, actor, stop);
    }

    /// <summary>Recomputes the hash of a stored version from its rows, and each row's from the texts' hashes.</summary>
    /// <returns>What is wrong; null when the version is exactly what was sealed.</returns>
    public async Task<string?> Verify(DatasetVersionId id, CancellationToken stop)
    {
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await db.DatasetVersions.AsNoTracking().FirstOrDefaultAsync(v => v.Id == id, stop) is not { } version)
            return $"There is no dataset version {id}.";
        var rows = await db.DatasetRows.AsNoTracking().Where(r => r.DatasetVersionId == id).OrderBy(r => r.Ordinal).ToListAsync(stop);
        if (rows.Count != version.RowsTrain + version.RowsHeldOut)
            return $"Version {version.Number} has {rows.Count} rows, {version.RowsTrain + version.RowsHeldOut} were sealed.";
        var texts = await Texts(db, rows, stop);
        foreach (var row in rows)
        {
            var hash = HashOf(texts.Prompts.GetValueOrDefault(row.PromptId, ""), texts.Responses.GetValueOrDefault(row.ChosenId, ""),
                row.RejectedId is { } rejected ? texts.Responses.GetValueOrDefault(rejected, "") : null, row.Label, row.Margin, row.Weight);
            if (hash != row.ContentHash)
                return $"Row {row.Ordinal} of version {version.Number} is not what was sealed: its texts, label, margin or weight were changed.";
        }
        return ManifestHash(version.ProjectId, version.Kind, version.RulesJson, rows) == version.ManifestHash
            ? null
            : $"The rows of version {version.Number} are not the sealed ones: one was changed, exchanged or moved.";
    }

    /// <summary>
    /// Takes rows out of a version for an erasure, counts what is left and seals it anew: what stays keeps its number, so gaps show where rows were. Inside the erasure's write.
    /// </summary>
    /// <param name="gone">Numbers of the rows that go (<see cref="DatasetRow.Ordinal"/>); each is there.</param>
    /// <param name="simulated">How many of those that go were simulated.</param>
    /// <returns>The seals before and after.</returns>
    internal static (string Before, string After) TakeOut(PortalDbContext db, DatasetVersion version, IReadOnlySet<int> gone, int simulated)
    {
        var left = db.DatasetRows.AsNoTracking().Where(r => r.DatasetVersionId == version.Id).OrderBy(r => r.Ordinal).ToList();
        left.RemoveAll(row => gone.Contains(row.Ordinal));
        foreach (var some in gone.Chunk(500))
            db.DatasetRows.Where(r => r.DatasetVersionId == version.Id && some.Contains(r.Ordinal)).ExecuteDelete();
        var (train, heldOut) = (left.Where(r => r.Part is DatasetPart.Train).ToList(), left.Where(r => r.Part is DatasetPart.HeldOut).ToList());
        var (trainPrompts, heldOutPrompts) = (train.DistinctBy(r => r.PromptId).Count(), heldOut.DistinctBy(r => r.PromptId).Count());
        var after = ManifestHash(version.ProjectId, version.Kind, version.RulesJson, left);
        db.DatasetVersions.Where(v => v.Id == version.Id).ExecuteUpdate(set => set
            .SetProperty(v => v.RowsTrain, train.Count).SetProperty(v => v.RowsHeldOut, heldOut.Count).SetProperty(v => v.PromptsTrain, trainPrompts).SetProperty(v => v.PromptsHeldOut, heldOutPrompts)
            .SetProperty(v => v.RowsSimulated, version.RowsSimulated - simulated).SetProperty(v => v.RowsErased, version.RowsErased + gone.Count).SetProperty(v => v.ManifestHash, after));
        return (version.ManifestHash, after);
    }

    /// <summary>A judgement under examination: why it is dropped, or what its row says.</summary>
    private sealed record Candidate(JudgementId Id, string? Dropped, PromptId PromptId, string PromptHash, ResponseId ChosenId, string ChosenHash,
        ResponseId? RejectedId, string? RejectedHash, bool? Label, double? Margin, bool IsSimulated, double Weight = 1, UnlearningRequestId? ChangedBy = null);

    private static async Task<List<Candidate>> Pairs(PortalDbContext db, ProjectId project, DatasetRules rules, CancellationToken stop)
    {
        var standing = await UnlearntPairs.Released(db, project, stop);
        // Over IX_PairwiseJudgements_ProjectId_SubmittedAt; the query filters leave staged imports out.
        var found = await (
            from j in db.PairwiseJudgements.AsNoTracking()
            where j.ProjectId == project && (rules.Before == null || j.SubmittedAt < rules.Before)
            join t in db.Tasks on j.TaskId equals t.Id
            join p in db.Prompts on t.PromptId equals p.Id
            join a in db.Responses on t.FirstResponseId equals a.Id
            join b in db.Responses on t.SecondResponseId equals b.Id
            orderby j.SubmittedAt, j.Id
            select new
            {
                j.Id, j.Verdict, j.PreferredResponseId, j.Strength, j.Source, j.IsSurplus, Superseded = j.SupersededAt != null, t.Purpose, p.Topic,
                PromptId = p.Id, PromptHash = p.ContentHash, FirstId = a.Id, FirstHash = a.ContentHash, SecondId = b.Id, SecondHash = b.ContentHash,
                Erased = db.Contents.Any(c => (c.Id == p.ContentId || c.Id == a.ContentId || c.Id == b.ContentId) && c.Text == null),
            }).ToListAsync(stop);
        return [.. found.Select(j =>
        {
            var changed = standing.GetValueOrDefault(j.Id);
            var dropped = WhyDropped(rules, j.Superseded, j.Purpose, j.IsSurplus, j.Source, j.Topic, j.Erased) ?? (changed?.IsGone == true ? "unlearnt" : null) ?? j.Verdict switch
            {
                PairwiseVerdict.Preferred => null,
                PairwiseVerdict.Tie => "tie",
                PairwiseVerdict.BothGood => "both good",
                PairwiseVerdict.BothBad => "both bad",
                PairwiseVerdict.CannotJudge => "cannot judge",
            };
            var firstWins = (j.PreferredResponseId == j.FirstId) != (changed?.IsTurned == true);
            return new Candidate(j.Id, dropped, j.PromptId, j.PromptHash, firstWins ? j.FirstId : j.SecondId, firstWins ? j.FirstHash : j.SecondHash,
                firstWins ? j.SecondId : j.FirstId, firstWins ? j.SecondHash : j.FirstHash, null, j.Strength is { } strength ? strength / 3.0 : null,
                j.Source is JudgementSource.Simulated, changed?.Weight ?? 1, changed?.Request);
        })];
    }

    private static async Task<List<Candidate>> Verdicts(PortalDbContext db, ProjectId project, DatasetRules rules, CancellationToken stop)
    {
        // Over IX_BinaryJudgements_ProjectId_SubmittedAt.
        var found = await (
            from j in db.BinaryJudgements.AsNoTracking()
            where j.ProjectId == project && (rules.Before == null || j.SubmittedAt < rules.Before)
            join t in db.Tasks on j.TaskId equals t.Id
            join p in db.Prompts on t.PromptId equals p.Id
            join r in db.Responses on j.ResponseId equals r.Id
            orderby j.SubmittedAt, j.Id
            select new
            {
                j.Id, j.Verdict, j.Source, j.IsSurplus, Superseded = j.SupersededAt != null, t.Purpose, p.Topic,
                PromptId = p.Id, PromptHash = p.ContentHash, ResponseId = r.Id, ResponseHash = r.ContentHash,
                Erased = db.Contents.Any(c => (c.Id == p.ContentId || c.Id == r.ContentId) && c.Text == null),
            }).ToListAsync(stop);
        return [.. found.Select(j =>
        {
            var dropped = WhyDropped(rules, j.Superseded, j.Purpose, j.IsSurplus, j.Source, j.Topic, j.Erased)
                ?? (j.Verdict is BinaryVerdict.Unsure ? "unsure" : null);
            return new Candidate(j.Id, dropped, j.PromptId, j.PromptHash, j.ResponseId, j.ResponseHash, null, null, j.Verdict is BinaryVerdict.Good, null,
                j.Source is JudgementSource.Simulated);
        })];
    }

    /// <summary>The first rule that keeps a judgement out, whatever its verdict; null when none does.</summary>
    private static string? WhyDropped(DatasetRules rules, bool superseded, TaskPurpose purpose, bool surplus, JudgementSource source, string? topic,
        bool erased) =>
        superseded ? "superseded"
        : purpose is not TaskPurpose.Collect ? "blind comparison"
        : surplus ? "surplus"
        : source is JudgementSource.Imported && !rules.IncludeImported ? "imported"
        : source is JudgementSource.Simulated && !rules.IncludeSimulated ? "simulated"
        : rules.Topics is { } topics && (topic is null || !topics.Contains(topic)) ? "other topic"
        : erased ? "erased"
        : null;

    private async Task<Dictionary<PromptId, DatasetPart>> SplitPrompts(HashSet<PromptId> prompts, DatasetRules rules, CancellationToken stop)
    {
        var split = new PromptSplit(rules.HeldOutShare, 0, rules.SplitSeed.ToString(CultureInfo.InvariantCulture));
        var parts = new Dictionary<PromptId, DatasetPart>(prompts.Count);
        await using var db = await contexts.CreateDbContextAsync(stop);
        foreach (var some in prompts.Chunk(500))
        {
            var texts = from p in db.Prompts.AsNoTracking()
                        where some.Contains(p.Id)
                        join c in db.Contents on p.ContentId equals c.Id
                        select new { p.Id, c.Text };
            await foreach (var prompt in texts.AsAsyncEnumerable().WithCancellation(stop))
                parts[prompt.Id] = split.PartOf(StoredTurns.ToMessages(Conversation.Parse(prompt.Text))) is SplitPart.Train
                    ? DatasetPart.Train
                    : DatasetPart.HeldOut;
        }
        return parts;
    }

    private async Task<DatasetVersionId> Store(DatasetVersionId id, ProjectId project, TaskKind kind, string rulesJson, string hash,
        IReadOnlyList<DatasetRow> rows, IReadOnlyDictionary<string, int> dropped, int simulated, JobId? job, Guid? actor, CancellationToken stop)
    {
        var train = rows.Where(r => r.Part is DatasetPart.Train).ToList();
        var heldOut = rows.Where(r => r.Part is DatasetPart.HeldOut).ToList();
        var stored = await writes.WriteAsync(db =>
        {
            if (db.DatasetVersions.AsNoTracking().FirstOrDefault(v => v.ProjectId == project && v.ManifestHash == hash) is { } same
                && db.DatasetRows.Count(r => r.DatasetVersionId == same.Id) == same.RowsTrain + same.RowsHeldOut)
                return same.Id;
            db.DatasetVersions.Add(new DatasetVersion
            {
                Id = id, ProjectId = project, Number = (db.DatasetVersions.Where(v => v.ProjectId == project).Max(v => (int?)v.Number) ?? 0) + 1,
                Kind = kind, RulesJson = rulesJson, ManifestHash = hash, RowsTrain = train.Count, RowsHeldOut = heldOut.Count,
                PromptsTrain = train.DistinctBy(r => r.PromptId).Count(), PromptsHeldOut = heldOut.DistinctBy(r => r.PromptId).Count(),
                DroppedJson = JsonSerializer.Serialize(dropped), RowsSimulated = simulated, CreatedAt = time.GetUtcNow(), JobId = job,
            });
            return id;
        }, stop);
        if (stored != id)
            return stored;
        foreach (var batch in rows.Chunk(BatchRows))
        {
            await writes.WriteAsync(db => db.DatasetRows.AddRange(batch), stop);
            await Task.Delay(Pause, time, stop);
        }
        await writes.WriteAsync(db =>
        {
            AuditChain.Append(db, time.GetUtcNow(), actor, "dataset.make", "dataset", $"{id}",
                new { manifest = hash, train = train.Count, heldOut = heldOut.Count, job = job?.ToString() });
        }, stop);
        return id;
    }

    /// <summary>Versions whose rows never became complete, of this job's earlier run or of jobs that are over.</summary>
    private Task RemoveUnfinished(JobId? mine, CancellationToken stop) => writes.WriteAsync(db =>
    {
        var broken = db.DatasetVersions.Where(v => v.JobId != null
                && (v.JobId == mine || db.Jobs.Any(j => j.Id == v.JobId && j.State != JobState.Queued && j.State != JobState.Running))
                && db.DatasetRows.Count(r => r.DatasetVersionId == v.Id) < v.RowsTrain + v.RowsHeldOut)
            .Select(v => v.Id).ToList();
        db.DatasetRows.Where(r => broken.Contains(r.DatasetVersionId)).ExecuteDelete();
        db.DatasetVersions.Where(v => broken.Contains(v.Id)).ExecuteDelete();
    }, stop);

    private static async Task<(Dictionary<PromptId, string> Prompts, Dictionary<ResponseId, string> Responses)> Texts(PortalDbContext db,
        List<DatasetRow> rows, CancellationToken stop)
    {
        var (prompts, responses) = (new Dictionary<PromptId, string>(), new Dictionary<ResponseId, string>());
        foreach (var some in rows.Select(r => r.PromptId).Distinct().Chunk(500))
            foreach (var p in await db.Prompts.AsNoTracking().Where(p => some.Contains(p.Id)).Select(p => new { p.Id, p.ContentHash }).ToListAsync(stop))
                prompts[p.Id] = p.ContentHash;
        foreach (var some in rows.Select(r => r.ChosenId).Concat(rows.Select(r => r.RejectedId).OfType<ResponseId>()).Distinct().Chunk(500))
            foreach (var r in await db.Responses.AsNoTracking().Where(r => some.Contains(r.Id)).Select(r => new { r.Id, r.ContentHash }).ToListAsync(stop))
                responses[r.Id] = r.ContentHash;
        return (prompts, responses);
    }

    private string HashOf(string promptHash, string chosenHash, string? rejectedHash, bool? label, double? margin, double weight) =>
        hasher.HashList("row/1", promptHash, chosenHash, rejectedHash ?? "-", label?.ToString() ?? "-", Number(margin), Number(weight));

    private static string ManifestHash(ProjectId project, TaskKind kind, string rulesJson, IReadOnlyList<DatasetRow> rows)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Append($"portal-manifest/1|{project}|{kind}|{rulesJson.Length}:{rulesJson}");
        foreach (var r in rows)
            Append(string.Create(CultureInfo.InvariantCulture,
                $"{r.Ordinal}|{r.JudgementId}|{r.PromptId}|{r.Part}|{r.ChosenId}|{r.RejectedId?.ToString() ?? "-"}|{r.Label?.ToString() ?? "-"}|{Number(r.Margin)}|{Number(r.Weight)}|{r.ContentHash}{(r.ChangedBy is { } request ? $"|{request}" : "")}"));
        return Convert.ToHexStringLower(hash.GetHashAndReset());

        void Append(string line) => hash.AppendData(Encoding.UTF8.GetBytes(line + "\n"));
    }

    private static string Number(double? value) => value?.ToString("R", CultureInfo.InvariantCulture) ?? "-";
}
