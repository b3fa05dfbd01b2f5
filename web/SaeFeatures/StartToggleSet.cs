using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.SaeFeatures;
using Portal.Data.Storage;
using Portal.Web.Accounts;

namespace Portal.Web.SaeFeatures;

/// <summary>Makes a draft of a toggle set for a reward model whose features were described.</summary>
[Needs(Permission.Administer)]
public sealed class StartToggleSet(WriteQueue writes, Access access, IdFactory ids, ContentHasher hasher, TimeProvider time)
{
    /// <param name="latent">A feature to begin with, switched off; null for an empty set.</param>
    public async Task<Outcome<ToggleSetId>> Handle(ClaimsPrincipal user, ModelVersionId model, int? latent, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        return await ToggleDrafts.Write(writes, db =>
        {
            var found = ToggledModel.Find(db, model);
            return found.Refusal is { } why
                ? why
                : ToggleDrafts.Add(db, ids, hasher, asked.Value, found.Value, number => $"Set {number}", "", "", latent is { } first ? [new Toggle(first, 0)] : [], null, time.GetUtcNow());
        }, stop);
    }
}

/// <summary>Makes a draft with the factors, target and reason of another set, for the same reward model. What was proposed stays as it was seen.</summary>
[Needs(Permission.Administer)]
public sealed class CopyToggleSet(WriteQueue writes, Access access, IdFactory ids, ContentHasher hasher, TimeProvider time)
{
    public async Task<Outcome<ToggleSetId>> Handle(ClaimsPrincipal user, ToggleSetId id, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Administer, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        return await ToggleDrafts.Write(writes, db =>
        {
            if (db.ToggleSets.AsNoTracking().FirstOrDefault(s => s.Id == id) is not { } set)
                return ToggleRefusals.Gone;
            var found = ToggledModel.Find(db, set.ModelVersionId);
            var name = set.Name.Length > ToggleSet.NameLengthMax - 7 ? set.Name[..(ToggleSet.NameLengthMax - 7)] : set.Name;
            return found.Refusal is { } why
                ? why
                : ToggleDrafts.Add(db, ids, hasher, asked.Value, found.Value, _ => $"{name} (copy)", set.Reason, set.Target, set.Toggles(), id, time.GetUtcNow());
        }, stop);
    }
}

/// <summary>What making and copying have in common.</summary>
file static class ToggleDrafts
{
    public static async Task<Outcome<ToggleSetId>> Write(WriteQueue writes, Func<PortalDbContext, Outcome<ToggleSetId>> work, CancellationToken stop)
    {
        try
        {
            return await writes.WriteAsync(work, stop);
        }
        catch (DbUpdateException)
        {
            return new Problem("set", "Somebody made a set at the same moment and took its number. Try again.", ProblemKind.Conflict); // on another node
        }
    }

    public static Outcome<ToggleSetId> Add(PortalDbContext db, IdFactory ids, ContentHasher hasher, Person person, ToggledModel model, Func<int, string> name, string reason,
        string target, IReadOnlyList<Toggle> toggles, ToggleSetId? copyOf, DateTimeOffset now)
    {
        var project = model.Version.ProjectId;
        var number = (db.ToggleSets.Where(s => s.ProjectId == project).Max(s => (int?)s.Number) ?? 0) + 1;
        var set = new ToggleSet { Id = ids.New<ToggleSetId>(), ProjectId = project, ModelVersionId = model.Version.Id, Number = number, Author = person.AccountId, CreatedAt = now };
        if (set.Change(name(number), reason, target, toggles, model.Latents) is { } problem)
            return problem;
        db.ToggleSets.Add(set);
        ToggleAudit.Append(db, hasher, now, person.AccountId, "toggles.draft", set, copyOf is { } from ? new { copyOf = $"{from}" } : null);
        return set.Id;
    }
}
