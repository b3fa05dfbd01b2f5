using System.Security.Claims;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Data.Serving;
using Portal.Data.Storage;
using Portal.Web.Accounts;
using Portal.Web.Shell;

namespace Portal.Web.SaeFeatures;

/// <summary>A label that was stored.</summary>
/// <param name="WhyUnscored">Why it has no scores; null where it has.</param>
public sealed record StoredLabel(int Version, double? Detection, double? Fuzzing, string? WhyUnscored);

/// <summary>
/// Writes the next version of a feature's label, or withdraws it. The pattern is tested by the engine first; a label that could not be tested is stored
/// and marked as untested.
/// </summary>
[Needs(Permission.Review)]
public sealed class LabelFeature(IDbContextFactory<PortalDbContext> contexts, WriteQueue writes, Access access, EngineClient engine, IdFactory ids, ContentHasher hasher, TimeProvider time)
{
    /// <param name="model">The reward model whose feature it is; of one that toggles made, the label goes to the root of its line.</param>
    /// <param name="seen">The version of the label that was on the screen; 0 for none. Another one by now, and this is refused.</param>
    /// <param name="text">The label; blank withdraws the one before.</param>
    /// <param name="pattern">Phrases separated by "|"; blank for none.</param>
    public async Task<Outcome<StoredLabel>> Handle(ClaimsPrincipal user, ModelVersionId model, int latent, int seen, string? text, string? pattern, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var label = (text ?? "").Trim();
        var phrases = label.Length == 0 || string.IsNullOrWhiteSpace(pattern) ? null : string.Join('|', pattern.Split('|', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries));
        if (Check(label, phrases, pattern) is { } problem)
            return problem;
        var found = await Find(model, latent, stop);
        if (found.Refusal is { } gone)
            return gone;
        var (project, root) = found.Value;
        LabelScoreResponse? scores = null;
        var whyNot = phrases is null ? "It has no pattern, so nothing can test it." : null;
        if (phrases is not null)
        {
            var answer = await engine.ScoreLabel(new LabelScoreRequest($"{model}", latent, phrases), stop);
            if (answer.Refusal is { Kind: ProblemKind.Invalid } wrong)
                return wrong; // the pattern itself is what the engine refuses
            scores = answer.Refusal is null ? answer.Value : null;
            whyNot = answer.Refusal?.ToString() ?? scores?.WhyNot ?? (scores?.Detection is null ? "The engine gave no score." : null);
        }
        try
        {
            return await writes.WriteAsync<StoredLabel>(db =>
            {
                var newest = db.FeatureLabels.AsNoTracking().Where(l => l.ModelVersionId == root && l.Latent == latent).OrderByDescending(l => l.Version).FirstOrDefault();
                if ((newest?.Version ?? 0) != seen)
                    return Overtaken;
                if (label.Length == 0 && (newest is null || newest.Text.Length == 0))
                    return new Problem("text", "There is no label to withdraw. Write one.");
                var now = time.GetUtcNow();
                var row = new FeatureLabel
                {
                    Id = ids.New<FeatureLabelId>(), ProjectId = project, ModelVersionId = root, Latent = latent, Version = seen + 1, Text = label, Pattern = phrases,
                    Source = LabelSource.Person, Author = asked.Value.AccountId, At = now, Detection = scores?.Detection?.Value, DetectionLow = scores?.Detection?.Low,
                    DetectionHigh = scores?.Detection?.High, Fuzzing = scores?.Fuzzing, ScoredOn = scores?.ScoredOn ?? 0,
                };
                db.FeatureLabels.Add(row);
                AuditChain.Append(db, now, asked.Value.AccountId, label.Length == 0 ? "feature.unlabel" : "feature.label", "modelVersion", $"{root}",
                    new { latent, version = row.Version, labelHash = hasher.Hash(label), scored = row.Detection is not null });
                return new StoredLabel(row.Version, row.Detection, row.Fuzzing, label.Length == 0 ? null : whyNot);
            }, stop);
        }
        catch (DbUpdateException)
        {
            // Another node wrote the same version between reading and writing; the unique index (ModelVersionId, Latent, Version) kept it one. Anything else is not ours to explain.
            await using var db = await contexts.CreateDbContextAsync(stop);
            if (await db.FeatureLabels.AnyAsync(l => l.ModelVersionId == root && l.Latent == latent && l.Version > seen, stop))
                return Overtaken;
            throw;
        }
    }

    private async Task<Outcome<(ProjectId Project, ModelVersionId Root)>> Find(ModelVersionId model, int latent, CancellationToken stop)
    {
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await db.ModelVersions.AsNoTracking().FirstOrDefaultAsync(v => v.Id == model && v.Kind == ModelKind.RewardModel, stop) is not { } version)
            return new Problem("model", "This reward model is gone.", ProblemKind.NotFound);
        if (await ToggledVersions.LineOfAsync(db, version, stop) is not { Description: { } description } line)
            return new Problem("model", "The features of this reward model have not been described; a label needs something to be looked at.", ProblemKind.Conflict);
        return await db.SaeFeatures.AnyAsync(f => f.DescriptionId == description.Id && f.Latent == latent, stop)
            ? (version.ProjectId, line.Root.Id)
            : new Problem("latent", $"There is no feature {latent} in this reward model.", ProblemKind.NotFound);
    }

    private static Problem? Check(string label, string? phrases, string? typed) =>
        label.Length > FeatureLabel.TextLengthMax ? new Problem("text", $"The label has {label.Length} characters, at most {FeatureLabel.TextLengthMax} are kept.")
        : label.Any(char.IsControl) ? new Problem("text", "A label is one line of text.")
        : phrases?.Length > FeatureLabel.PatternLengthMax ? new Problem("pattern", $"The pattern has {phrases.Length} characters, at most {FeatureLabel.PatternLengthMax} are kept.")
        : phrases is { Length: 0 } ? new Problem("pattern", $"\"{typed!.Trim()}\" has no phrase: write words, separated by \"|\".") // phrases come from typed
        : null;

    private static readonly Problem Overtaken =
        new("text", "Somebody else changed this label since the page was opened. Nothing was stored now: load the page again, look at their label, then decide.", ProblemKind.Conflict);
}
