using System.Security.Claims;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Review;
using Portal.Data.Storage;
using Portal.Web.Accounts;

namespace Portal.Web.Review;

/// <summary>Decides on a flag: confirmed (the response is as bad as the flag says) or dismissed. Deciding the same twice is one decision.</summary>
[Needs(Permission.Review)]
public sealed class CloseFlag(WriteQueue writes, Access access, TimeProvider time)
{
    public async Task<Outcome<FlagState>> Handle(ClaimsPrincipal user, FlagId id, FlagState decision, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        if (decision is not (FlagState.Confirmed or FlagState.Dismissed))
            return new Problem("decision", "A flag is closed as confirmed or as dismissed.");
        return await writes.WriteAsync<FlagState>(db =>
        {
            if (db.Flags.FirstOrDefault(f => f.Id == id) is not { } flag)
                return new Problem("flag", "This flag is gone.", ProblemKind.NotFound);
            if (flag.State == decision)
                return decision;
            if (flag.State is not FlagState.Open)
                return new Problem("flag", "Somebody else decided otherwise in the meantime. Reload to see what.", ProblemKind.Conflict);
            var now = time.GetUtcNow();
            flag.Close(decision, asked.Value.AccountId, now);
            AuditChain.Append(db, now, asked.Value.AccountId, decision is FlagState.Confirmed ? "flag.confirm" : "flag.dismiss", "flag", id.ToString(),
                new { response = flag.ResponseId, reason = flag.Reason.ToString() });
            return decision;
        }, stop);
    }
}

/// <summary>Registers the review pages' handlers.</summary>
public static class ReviewSetup
{
    public static IServiceCollection AddReview(this IServiceCollection services)
    {
        services.AddSingleton<ListFlags>();
        services.AddSingleton<CloseFlag>();
        return services;
    }
}
