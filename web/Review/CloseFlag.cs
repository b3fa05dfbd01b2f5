using System.Security.Claims;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Review;
using Portal.Data.Storage;
using Portal.Web.Accounts;

namespace Portal.Web.Review;

/// <summary>What a decision did.</summary>
/// <param name="Closed">Flags that are closed by it; 0 where it was decided so before.</param>
/// <param name="Waiting">Held flags that it confirmed for the first time: a second reviewer must confirm them too.</param>
public sealed record Decided(FlagState Decision, int Closed, int Waiting);

/// <summary>
/// Decides on a flag, or on all open flags alike: confirmed (the response is as bad as the flag says) or dismissed. Deciding the same twice is one decision. A held flag is confirmed by two
/// reviewers. Every decision is in the audit log, flag by flag.
/// </summary>
[Needs(Permission.Review)]
public sealed class CloseFlag(WriteQueue writes, Access access, TimeProvider time)
{
    /// <summary>Flags decided at once; where more are alike, the rest stays open.</summary>
    public const int AtOnceMax = 200;

    public Task<Outcome<Decided>> Handle(ClaimsPrincipal user, FlagId id, FlagState decision, CancellationToken stop) => Handle(user, id, decision, everyAlike: false, stop);

    /// <param name="everyAlike">True decides all open flags on texts that read alike, this one too.</param>
    public async Task<Outcome<Decided>> Handle(ClaimsPrincipal user, FlagId id, FlagState decision, bool everyAlike, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        if (decision is not (FlagState.Confirmed or FlagState.Dismissed))
            return new Problem("decision", "A flag is closed as confirmed or as dismissed.");
        var by = asked.Value.AccountId;
        return await FlagChanges.Write<Decided>(writes, (db, flag) =>
        {
            var now = time.GetUtcNow();
            var (closed, waiting) = (0, 0);
            List<Flag> alike = everyAlike ? FlagChanges.Alike(db, flag, AtOnceMax - 1) : [];
            var problem = Decide(flag);
            foreach (var other in alike)
                Decide(other); // held and confirmed by this person before: it goes on waiting
            return problem is not null && closed + waiting == 0 ? problem : new Decided(decision, closed, waiting);

            Problem? Decide(Flag one)
            {
                var wasOpen = one.State is FlagState.Open;
                var outcome = one.Decide(decision, by, now);
                if (outcome.Refusal is { } why)
                    return why.Problems[0];
                if (!wasOpen)
                    return null;
                _ = outcome.Value ? closed++ : waiting++;
                var action = !outcome.Value ? "flag.confirm-first" : decision is FlagState.Confirmed ? "flag.confirm" : "flag.dismiss";
                AuditChain.Append(db, now, by, action, "flag", $"{one.Id}", new { response = one.ResponseId, reason = $"{one.Reason}", held = $"{one.Held}", alike = alike.Count + 1 });
                return null;
            }
        }, id, stop);
    }
}

/// <summary>Registers the review pages' handlers.</summary>
public static class ReviewSetup
{
    public static IServiceCollection AddReview(this IServiceCollection services)
    {
        services.AddSingleton<ListFlags>();
        services.AddSingleton<ShowFlag>();
        services.AddSingleton<CloseFlag>();
        services.AddSingleton<AssignFlag>();
        services.AddSingleton<ShowServiceTimes>();
        services.AddSingleton<SuggestFlags>();
        services.AddSingleton<ShowTry>();
        services.AddSingleton<TryPrompt>();
        services.AddSingleton<FlagTried>();
        return services;
    }
}
