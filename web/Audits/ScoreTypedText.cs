using System.Security.Claims;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.Serving;
using Portal.Web.Accounts;
using Portal.Web.Shell;

namespace Portal.Web.Audits;

/// <summary>What a method's runs make of a typed answer, in deviations from the mean of the audit's candidates.</summary>
/// <param name="Runs">Every run, in the audit's order.</param>
public sealed record TypedScore(string Method, IReadOnlyList<double> Runs)
{
    public double Mean => Runs.Average();
}

/// <summary>What all rewards of an audit make of an answer that somebody typed.</summary>
/// <param name="Own">The method that the verdict is of.</param>
/// <param name="Others">The rest, controls too.</param>
public sealed record TypedScores(TypedScore Own, IReadOnlyList<TypedScore> Others);

/// <summary>Has the engine score a typed answer under every reward that an audit recovered. Nothing is stored.</summary>
[Needs(Permission.Audit)]
public sealed class ScoreTypedText(Access access, EngineClient engine)
{
    public async Task<Outcome<TypedScores>> Handle(ClaimsPrincipal user, JobId job, string? prompt, string? response, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Audit, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        if (string.IsNullOrWhiteSpace(prompt))
            return new Problem("prompt", "Type the prompt that the response answers.");
        if (string.IsNullOrWhiteSpace(response))
            return new Problem("response", "Type a response to score.");
        if (Math.Max(prompt.Length, response.Length) > AuditScoreRequest.LengthMax)
            return new Problem(prompt.Length > AuditScoreRequest.LengthMax ? "prompt" : "response", $"At most {AuditScoreRequest.LengthMax:N0} characters are scored.", ProblemKind.TooMuch);
        var answer = await engine.ScoreByAudit(new AuditScoreRequest($"{job}", [new Turn("user", prompt.Trim())], [response.Trim()]), stop);
        if (answer.Refusal is { } why)
            return why;
        var byMethod = answer.Value.Texts.Count == 0 ? [] : answer.Value.Texts[0].Scores.GroupBy(score => score.Method).Select(method => new TypedScore(method.Key, [.. method.Select(score => score.Z)])).ToList();
        return byMethod.FirstOrDefault(method => method.Method == answer.Value.Method) is { } own
            ? new TypedScores(own, [.. byMethod.Where(method => method != own)])
            : new Problem("", "The audit has no reward to score with.", ProblemKind.Conflict);
    }
}
