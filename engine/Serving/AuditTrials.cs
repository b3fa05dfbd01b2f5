using Microsoft.AspNetCore.Http;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Audits;
using Portal.Data.Serving;
using Portal.Data.Storage;
using Portal.Engine.Audits;
using Portal.Engine.Datasets;
using Portal.Engine.Jobs;
using Portal.Engine.Recipes;

namespace Portal.Engine.Serving;

/// <summary>The door that scores typed texts under an audit's rewards, over <see cref="AuditTrials"/>.</summary>
internal static class ScoreByAudit
{
    public static async Task Handle(HttpContext http)
    {
        var request = await EngineHttp.Read<AuditScoreRequest>(http, http.RequestAborted);
        if (request.Responses is not { Count: > 0 and <= AuditScoreRequest.ResponsesMax } responses)
            throw Bad("responses", $"Give 1 to {AuditScoreRequest.ResponsesMax} responses.");
        for (var i = 0; i < responses.Count; i++)
        {
            Scores.Check(new ScoreItem(request.Prompt ?? [], responses[i]), i);
            if (string.IsNullOrWhiteSpace(responses[i]))
                throw Bad($"responses[{i}]", $"Response {i + 1} is empty.");
            if (responses[i].Length > AuditScoreRequest.LengthMax)
                throw Bad($"responses[{i}]", $"Response {i + 1} has {responses[i].Length} characters; at most {AuditScoreRequest.LengthMax} are read.");
        }
        if (request.Prompt!.Sum(turn => turn.Content.Length) is > AuditScoreRequest.LengthMax and var length) // Check asks for turns
            throw Bad("prompt", $"The prompt has {length} characters; at most {AuditScoreRequest.LengthMax} are read.");
        await EngineHttp.Answer(http, await EngineHttp.Part<AuditTrials>(http, "scores texts under audits").Score(request, http.RequestAborted));
    }

    internal static DoorRefusal Bad(string field, string message, int status = StatusCodes.Status400BadRequest) => new(status, message, field);
}

/// <summary>Scores texts under every reward that an audit recovered. The few audits asked last stay in memory: rewards, and the models that read texts for them.</summary>
/// <remarks>
/// One text is read at a time, as the audit did, so that a text of the audit gets the very score it has there.
/// </remarks>
public sealed class AuditTrials(IDbContextFactory<PortalDbContext> contexts, DataDirectory directory, ModelStore store) : IDisposable
{
    /// <summary>Audits in memory at most; each holds a model or two.</summary>
    public const int AuditsMax = 2;

    private readonly SemaphoreSlim turn = new(1);
    private readonly List<AuditRewards> opened = []; // the one used last at the end

    /// <summary>How many audits are in memory.</summary>
    public int Count => opened.Count;

    /// <summary>Scores.</summary>
    /// <exception cref="DoorRefusal">No such audit, nothing was fitted in it, or what read its texts is not there as it was; the message says which.</exception>
    public async Task<AuditScoreResponse> Score(AuditScoreRequest request, CancellationToken stop)
    {
        var row = await Find(request.Audit, stop);
        await turn.WaitAsync(stop);
        try
        {
            var audit = await Open(row, stop);
            return await Task.Run(async () =>
            {
                var prompt = new AuditPrompt("typed", "typed", StoredTurns.ForTraining(request.Prompt ?? []), []);
                var texts = new List<AuditScoredText>();
                foreach (var response in request.Responses ?? [])
                {
                    stop.ThrowIfCancellationRequested();
                    texts.Add(new AuditScoredText([.. audit.Rewards.Score(audit.Features.Read(prompt, await Typed(audit, prompt, response.Trim(), stop))).Select(score => new AuditRunScore(score.Method, score.Seed, score.Bootstrap, score.Score, score.Z))]));
                }
                return new AuditScoreResponse($"{row.JobId}", audit.Rewards.File.Features, row.Method, texts);
            }, stop);
        }
        finally
        {
            turn.Release();
        }
    }

    public void Dispose()
    {
        opened.ForEach(one => one.Dispose());
        turn.Dispose();
    }

    private static async Task<AuditText> Typed(AuditRewards audit, AuditPrompt prompt, string response, CancellationToken stop)
    {
        var logProb = audit.Likelihoods is { } likelihoods ? (await likelihoods.LogProbs([new AnswerToScore(prompt, response, true, null, null)], stop))[0]
            ?? throw ScoreByAudit.Bad("responses", "A text is too long for the base, whose likelihood the rewards of this audit read.") : (double?)null;
        return AuditText.Of(response, logProbBase: logProb);
    }

    private async Task<PolicyAudit> Find(string? id, CancellationToken stop)
    {
        if (!JobId.TryParse(id, null, out var job))
            throw ScoreByAudit.Bad("audit", "Name an audit by its job's id.");
        await using var db = await contexts.CreateDbContextAsync(stop);
        return await db.PolicyAudits.AsNoTracking().FirstOrDefaultAsync(a => a.JobId == job, stop)
            ?? throw ScoreByAudit.Bad("audit", "There is no such audit, or it has not ended.", StatusCodes.Status404NotFound);
    }

    private async Task<AuditRewards> Open(PolicyAudit row, CancellationToken stop)
    {
        if (opened.Find(one => one.Row.JobId == row.JobId) is { } known)
        {
            opened.Remove(known);
            opened.Add(known);
            return known;
        }
        try
        {
            TrainingProcess.Prepare(LoadedModels.Threads);
            opened.Add(await AuditRewards.Open(row, directory, contexts, store, stop)
                ?? throw ScoreByAudit.Bad("audit", $"Nothing was fitted in {row.Label}, so it has no rewards to score with.", StatusCodes.Status404NotFound));
        }
        catch (Exception e) when (e is CannotTrain or FormatException)
        {
            throw ScoreByAudit.Bad("audit", e.Message, StatusCodes.Status503ServiceUnavailable);
        }
        if (opened.Count > AuditsMax)
        {
            opened[0].Dispose();
            opened.RemoveAt(0);
        }
        return opened[^1];
    }
}
