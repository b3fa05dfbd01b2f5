using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.SaeFeatures;
using Portal.Data.Storage;
using Portal.Web.Accounts;

namespace Portal.Web.SaeFeatures;

/// <summary>Everything a person sets in a draft.</summary>
/// <param name="Target">Phrases separated by "|"; empty: no target is claimed.</param>
public sealed record ToggleSetInput(string Name, string Reason, string Target, IReadOnlyList<Toggle> Toggles);

/// <summary>Changes a draft. Only its author does: whoever else changed it could afterwards approve what is partly their own.</summary>
[Needs(Permission.Administer)]
public sealed class SaveToggleSet(WriteQueue writes, Access access, ContentHasher hasher, TimeProvider time)
{
    /// <param name="seen"><see cref="ToggleSet.RowVersion"/> when the page was loaded; who comes second is told.</param>
    /// <returns>The row's version now.</returns>
    public async Task<Outcome<int>> Handle(ClaimsPrincipal user, ToggleSetId id, int seen, ToggleSetInput input, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        try
        {
            return await writes.WriteAsync<int>(db =>
            {
                if (db.ToggleSets.FirstOrDefault(s => s.Id == id) is not { } set)
                    return ToggleRefusals.Gone;
                if (set.Author != asked.Value.AccountId)
                    return ToggleRefusals.NotYours;
                var model = ToggledModel.Find(db, set.ModelVersionId);
                if (model.Refusal is { } unusable)
                    return unusable;
                if (set.State is ToggleSetState.Draft && set.RowVersion != seen)
                    return ToggleRefusals.Overtaken;
                if (set.Change(input.Name, input.Reason, input.Target, input.Toggles, model.Value.Latents) is { } problem)
                    return problem;
                ToggleAudit.Append(db, hasher, time.GetUtcNow(), asked.Value.AccountId, "toggles.save", set);
                return set.RowVersion;
            }, stop);
        }
        catch (DbUpdateConcurrencyException)
        {
            return ToggleRefusals.Overtaken; // another node was faster
        }
    }
}
