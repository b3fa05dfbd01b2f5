using System.Security.Claims;
using System.Threading.RateLimiting;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Data.Serving;
using Portal.Web.Accounts;
using Portal.Web.Shell;

namespace Portal.Web.Review;

/// <summary>One answer that was written on the try page.</summary>
/// <param name="Seed">The same prompt, policy and seed give it again.</param>
/// <param name="IsComplete">False where it was cut off at the most tokens.</param>
public sealed record TriedAnswer(long Seed, string Text, bool IsComplete);

/// <summary>What a project's policy said to a typed prompt. Nothing of it is stored.</summary>
/// <param name="Sampling">How the answers were drawn; each with its own seed.</param>
public sealed record Tried(ProjectId ProjectId, ModelVersionId PolicyId, int PolicyNumber, string Prompt, SamplingSpec Sampling, IReadOnlyList<TriedAnswer> Answers);

/// <summary>Asks the policy that serves a project a typed prompt, through the engine's door. Nothing is stored: see <see cref="FlagTried"/>.</summary>
[Needs(Permission.Review)]
public sealed class TryPrompt(IDbContextFactory<PortalDbContext> contexts, Access access, EngineClient engine) : IDisposable
{
    public const int PromptLengthMax = 4_000;
    public const int AnswersMax = 4;

    /// <summary>The largest seed that JavaScript and JSON hold without rounding.</summary>
    public const long SeedMax = (1L << 53) - AnswersMax;

    /// <summary>Tries in a minute, by person: each keeps the engine busy.</summary>
    public const int TriesPerMinute = 10;

    private readonly PartitionedRateLimiter<Guid> limit = PartitionedRateLimiter.Create<Guid, Guid>(account =>
        RateLimitPartition.GetFixedWindowLimiter(account, _ => new FixedWindowRateLimiterOptions { PermitLimit = TriesPerMinute, Window = TimeSpan.FromMinutes(1) }));

    /// <param name="count">Answers, 1 to 4, with the seeds <paramref name="seed"/>, +1, ...</param>
    public async Task<Outcome<Tried>> Handle(ClaimsPrincipal user, ProjectId project, string? prompt, int count, long seed, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        if (Wrong(prompt, count, seed) is { Count: > 0 } problems)
            return new Refusal(problems);
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await db.Projects.AsNoTracking().FirstOrDefaultAsync(p => p.Id == project && p.ArchivedAt == null, stop) is not { } here)
            return new Problem("project", "This project is gone or archived.", ProblemKind.NotFound);
        if (await db.ModelVersions.AsNoTracking().FirstOrDefaultAsync(v => v.Id == here.CurrentPolicyId, stop) is not { } policy)
            return new Problem("project", "No policy serves this project yet. An admin releases one on its page under Models.", ProblemKind.Conflict);
        using var lease = limit.AttemptAcquire(asked.Value.AccountId);
        if (!lease.IsAcquired)
            return new Problem("", $"That was {TriesPerMinute} tries in a minute. Wait a little, then try again.", ProblemKind.TooMuch);
        var sampling = new SamplingSpec { Seed = seed };
        var answers = new List<TriedAnswer>();
        // One request an answer, so that each can be had again by its own seed.
        for (var i = 0; i < count; i++)
        {
            var answer = await engine.Chat(new ChatCompletionRequest
            {
                Model = $"{policy.Id}", Messages = [new Turn("user", prompt!.Trim())], Temperature = sampling.Temperature, TopP = sampling.TopP, MaxCompletionTokens = sampling.TokensMax, Seed = seed + i, // checked above
            }, stop);
            if (answer.Refusal is { } why)
                return why;
            if (answer.Value.Choices is not [var choice, ..])
                return new Problem("", "The engine's answer was empty.", ProblemKind.Conflict);
            answers.Add(new TriedAnswer(seed + i, choice.Message.Content.Replace('\0', '\uFFFD'), choice.FinishReason == "stop")); // no database stores a NUL
        }
        return new Tried(project, policy.Id, policy.Number, prompt!.Trim(), sampling, answers); // checked above
    }

    public void Dispose() => limit.Dispose();

    private static List<Problem> Wrong(string? prompt, int count, long seed)
    {
        var problems = new List<Problem>();
        if (string.IsNullOrWhiteSpace(prompt))
            problems.Add(new Problem("prompt", "Type a prompt for the policy to answer."));
        else if (prompt.Length > PromptLengthMax)
            problems.Add(new Problem("prompt", $"The prompt has {prompt.Length:N0} characters; at most {PromptLengthMax:N0} are asked.", ProblemKind.TooMuch));
        else if (prompt.Contains('\0', StringComparison.Ordinal))
            problems.Add(new Problem("prompt", "The prompt holds a NUL character, which cannot be stored. Remove it."));
        if (count is < 1 or > AnswersMax)
            problems.Add(new Problem("count", $"{count} answers were asked for; 1 to {AnswersMax} can be."));
        if (seed is < 0 or > SeedMax)
            problems.Add(new Problem("seed", $"The seed is {seed}; it must be between 0 and {SeedMax:N0}."));
        return problems;
    }
}
