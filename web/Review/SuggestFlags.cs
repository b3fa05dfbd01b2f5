using System.Globalization;
using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Review;
using Portal.Data.Storage;
using Portal.Web.Accounts;

namespace Portal.Web.Review;

/// <summary>What came of asking for suggestions.</summary>
/// <param name="Made">Flags that are new.</param>
/// <param name="Below">Answers that the judge scored below the reference's; more than are suggested at most.</param>
/// <param name="Compared">Pairs of answers that were compared.</param>
/// <param name="CandidateNumber">The policy whose answers they are.</param>
/// <param name="JudgeNumber">The reward model that scored them.</param>
public sealed record SuggestedFlags(int Made, int Below, int Compared, int CandidateNumber, int JudgeNumber);

/// <summary>
/// Suggests flags from the newest comparison of policies: an answer of the candidate that the judge reward model scored below the reference's answer to the same prompt (same place among the
/// samples). A tie is satisfactory. The worst <see cref="AtOnceMax"/> are suggested, as flags of low severity that wait for a reviewer like all others; an answer that has a flag gets no second one,
/// so asking again adds nothing.
/// </summary>
[Needs(Permission.Administer)]
public sealed class SuggestFlags(IDbContextFactory<PortalDbContext> contexts, WriteQueue writes, Access access, IdFactory ids, ContentHasher hasher, TimeProvider time)
{
    public const int AtOnceMax = 50;

    private static readonly Problem NoComparison = new("project", "No policy of this project was compared with the one before it by a reward model yet. Train a policy first; its results page then has what is needed.", ProblemKind.Conflict);

    public async Task<Outcome<SuggestedFlags>> Handle(ClaimsPrincipal user, ProjectId project, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await db.ModelVersions.AsNoTracking().Where(v => v.ProjectId == project && v.Kind == ModelKind.Policy && db.EvaluationSamples.Any(s => s.CandidateId == v.Id && s.Reward != null))
                .OrderByDescending(v => v.Number).FirstOrDefaultAsync(stop) is not { } candidate)
            return NoComparison;
        if (await JudgeOf(db, candidate, stop) is not { } judge)
            return new Problem("project", $"It is not known which reward model scored the answers of {candidate.Label}, so nothing can be suggested in its name.", ProblemKind.Conflict);
        var (below, compared) = await Below(db, candidate.Id, stop);
        var worst = below.Take(AtOnceMax).ToList();
        var annotator = await access.AnnotatorOf(asked.Value, stop);
        return await writes.WriteAsync<SuggestedFlags>(data =>
        {
            var (made, now) = (0, time.GetUtcNow());
            foreach (var (response, score, reference) in worst)
            {
                if (data.Flags.Any(f => f.ResponseId == response) || data.Responses.FirstOrDefault(r => r.Id == response) is not { } row || data.Contents.Any(c => c.Id == row.ContentId && c.Text == null))
                    continue;
                var note = string.Create(CultureInfo.InvariantCulture, $"{judge.Label} scored it {score:+0.00;-0.00;0.00}, and the reference's answer to the same prompt {reference:+0.00;-0.00;0.00}.");
                var content = new Content { Id = ids.New<ContentId>(), ProjectId = project, Kind = ContentKind.FlagNote, Text = note, KeyedHash = hasher.Hash(note), CreatedAt = now };
                data.Contents.Add(content);
                data.Flags.Add(new Flag
                {
                    Id = ids.New<FlagId>(), ProjectId = project, ResponseId = response, AnnotatorId = annotator, Reason = FlagReason.Other, Severity = FlagSeverity.Low, NoteId = content.Id,
                    Place = "results", ModelVersionId = row.ModelVersionId, Source = FlagSource.Suggested, SuggestedById = judge.Id, AlikeKey = AlikeText.KeyOf(data, hasher, row),
                    At = now.AddMilliseconds(made), // in the order of the scores
                });
                data.SaveChanges(); // the next one's key may be this one's
                made++;
            }
            if (made > 0)
                AuditChain.Append(data, now, asked.Value.AccountId, "flag.suggest", "model", $"{candidate.Id}", new { flags = made, judge = judge.Id });
            return new SuggestedFlags(made, below.Count, compared, candidate.Number, judge.Number);
        }, stop);
    }

    /// <summary>Answers that scored below the reference's, worst first. A few thousand short rows at most (300 prompts, 4 samples, 2 policies), by IX_EvaluationSamples_CandidateId_PromptId.</summary>
    private static async Task<(IReadOnlyList<(ResponseId Response, double Score, double Reference)> Below, int Compared)> Below(PortalDbContext db, ModelVersionId candidate, CancellationToken stop)
    {
        var samples = await (from s in db.EvaluationSamples.AsNoTracking()
                             where s.CandidateId == candidate && s.Reward != null
                             join r in db.Responses on s.ResponseId equals r.Id
                             select new { s.SampledFromId, s.PromptId, s.Ordinal, s.ResponseId, Reward = s.Reward!.Value, r.ContentHash }).ToListAsync(stop); // asked for
        var pairs = (from own in samples
                     where own.SampledFromId == candidate
                     join other in samples.Where(s => s.SampledFromId != candidate) on (own.PromptId, own.Ordinal) equals (other.PromptId, other.Ordinal)
                     select (Own: own, Other: other)).ToList();
        // The same words are a tie, whatever rounding made of their scores in different batches.
        var below = pairs.Where(p => p.Own.Reward < p.Other.Reward && p.Own.ContentHash != p.Other.ContentHash).OrderBy(p => p.Own.Reward - p.Other.Reward).ThenBy(p => p.Own.ResponseId.Value)
            .DistinctBy(p => p.Own.ResponseId).Select(p => (p.Own.ResponseId, p.Own.Reward, p.Other.Reward)).ToList();
        return (below, pairs.Count);
    }

    /// <summary>The reward model that scored a policy's comparison: the one its job names, else the one that served when it was made.</summary>
    private static async Task<ModelVersion?> JudgeOf(PortalDbContext db, ModelVersion candidate, CancellationToken stop)
    {
        ModelVersionId? named = null;
        try
        {
            named = candidate.JobId is null ? null : JobSpec.FromJson(candidate.SpecJson) switch
            {
                TrainPreferencePolicy spec => spec.RewardModelId,
                TrainRlooPolicy spec => spec.ScoredById ?? spec.RewardModelId,
                _ => null,
            };
        }
        catch (FormatException)
        {
            // The demo's versions hold where they come from instead: what served then is the answer.
        }
        named ??= await db.Releases.AsNoTracking().Where(r => r.ProjectId == candidate.ProjectId && r.Kind == ModelKind.RewardModel && r.At <= candidate.CreatedAt).OrderByDescending(r => r.At)
            .Select(r => (ModelVersionId?)r.ToVersionId).FirstOrDefaultAsync(stop)
            ?? await db.Projects.AsNoTracking().Where(p => p.Id == candidate.ProjectId).Select(p => p.CurrentRewardModelId).FirstOrDefaultAsync(stop);
        return await db.ModelVersions.AsNoTracking().FirstOrDefaultAsync(v => v.Id == named && v.Kind == ModelKind.RewardModel, stop);
    }
}
