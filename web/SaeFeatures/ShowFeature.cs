using System.Security.Claims;
using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.SaeFeatures;
using Portal.Web.Accounts;
using Portal.Web.Shell;

namespace Portal.Web.SaeFeatures;

/// <summary>A place where a feature fires, with its text as it is stored now.</summary>
/// <param name="Before">What stands before the sentence, shortened at its beginning; null where the text was erased or no longer fits.</param>
/// <param name="Sentence">The sentence at whose end the feature was read.</param>
/// <param name="After">What follows, shortened at its end.</param>
public sealed record ShownContext(ResponseId ResponseId, ContextPosition Position, int Band, double Activation, string? Before, string Sentence, string After);

/// <summary>One version of a label, with who wrote it.</summary>
/// <param name="By">A person's name; null for rules.</param>
public sealed record LabelLine(FeatureLabel Label, string? By);

/// <summary>A neighbour with its label.</summary>
public sealed record RelatedLine(RelatedFeature Feature, string? Label);

/// <summary>An annotator's part in the votes for a feature.</summary>
/// <param name="Pseudonym">"?" where the annotator is gone.</param>
public sealed record VoterLine(string Pseudonym, bool IsSimulated, VoterShare Share);

/// <summary>Everything the page of one feature shows.</summary>
/// <param name="Version">The version whose weights are shown.</param>
/// <param name="Labels">All versions, newest first.</param>
/// <param name="Scored">Features with a selection score, to read a rank by.</param>
/// <param name="WithoutIntervals">Why the row has no intervals; null where it has.</param>
public sealed record FeatureView(ProjectId ProjectId, FeatureVersion Version, FeatureDescription Description, FeatureRow Row, IReadOnlyList<LabelLine> Labels,
    IReadOnlyList<ShownContext> Contexts, IReadOnlyList<RelatedLine> Related, IReadOnlyList<VoterLine> Voters, int Scored, Refusal? WithoutIntervals)
{
    /// <summary>The newest version's number; 0 where there is none. Who writes the next one names it.</summary>
    public int LabelVersion => Labels.Count > 0 ? Labels[0].Label.Version : 0;
}

/// <summary>Loads one feature: its numbers, the places where it fires, its labels, its neighbours and whose votes favour it.</summary>
[Needs(Permission.Review)]
public sealed class ShowFeature(IDbContextFactory<PortalDbContext> contexts, Access access, FeatureRanks ranks, EngineClient engine)
{
    /// <summary>Characters around a sentence; the whole response is a click away.</summary>
    public const int AroundMax = 160;

    /// <summary>Characters of the stretch that was read (at an end the whole response): of a longer one its end is shown, where the feature was read.</summary>
    public const int StretchMax = 480;

    public async Task<Outcome<FeatureView>> Handle(ClaimsPrincipal user, ModelVersionId model, int latent, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Review, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (await db.ModelVersions.AsNoTracking().FirstOrDefaultAsync(v => v.Id == model, stop) is not { } version)
            return new Problem("model", "This reward model is gone.", ProblemKind.NotFound);
        var found = (await FeatureVersions.Load(db, version.ProjectId, stop)).FirstOrDefault(v => v.Id == model);
        if (await DescribedFeatures.Of(db, found?.Line, stop) is not { Description: { Id: var id } description } features)
            return new Problem("model", "The features of this reward model have not been described.", ProblemKind.NotFound);
        if (await db.SaeFeatures.AsNoTracking().FirstOrDefaultAsync(f => f.DescriptionId == id && f.Latent == latent, stop) is not { } feature)
            return new Problem("latent", $"There is no feature {latent}: this reward model has the features 0 to {description.Latents - 1}.", ProblemKind.NotFound);
        var ranked = await ranks.Of(db, id, stop);
        var related = List<RelatedFeature>(feature.RelatedJson);
        var labels = await FeatureLabels.Of(db, features.Root, [latent, .. related.Select(r => r.Latent)], stop);
        var voters = List<VoterShare>(feature.VotersJson);
        var people = voters.Select(v => v.AnnotatorId).ToList();
        var names = await db.Annotators.AsNoTracking().Where(a => people.Contains(a.Id)).ToDictionaryAsync(a => a.Id, a => (a.Pseudonym, a.IsSimulated), stop);
        var (rows, why) = await FeatureIntervals.Add(engine, model, [FeatureTable.RowOf(feature, features, labels, ranked)], stop);
        return new FeatureView(version.ProjectId, found!, description, rows[0], await LabelsOf(db, features.Root, latent, stop), // has features, so it was found
            await ContextsOf(db, id, latent, stop), [.. related.Select(r => new RelatedLine(r, labels.GetValueOrDefault(r.Latent)?.Text))],
            [.. voters.Select(v => names.TryGetValue(v.AnnotatorId, out var name) ? new VoterLine(name.Pseudonym, name.IsSimulated, v) : new VoterLine("?", false, v))],
            Math.Max(ranked.Raw.Count, ranked.Residual.Count), why);
    }

    private static async Task<IReadOnlyList<LabelLine>> LabelsOf(PortalDbContext db, ModelVersionId model, int latent, CancellationToken stop)
    {
        var labels = await db.FeatureLabels.AsNoTracking().Where(l => l.ModelVersionId == model && l.Latent == latent).OrderByDescending(l => l.Version).ToListAsync(stop);
        var authors = labels.Select(l => l.Author).OfType<Guid>().Distinct().ToList();
        var names = await db.Users.AsNoTracking().Where(u => authors.Contains(u.Id)).ToDictionaryAsync(u => u.Id, u => u.DisplayName, stop);
        return [.. labels.Select(l => new LabelLine(l, l.Author is { } author ? names.GetValueOrDefault(author, "?") : null))];
    }

    /// <summary>Over (DescriptionId, Latent, Band); the texts by primary keys.</summary>
    private static async Task<IReadOnlyList<ShownContext>> ContextsOf(PortalDbContext db, FeatureDescriptionId description, int latent, CancellationToken stop)
    {
        var rows = await (from context in db.FeatureContexts.AsNoTracking()
                          join response in db.Responses on context.ResponseId equals response.Id into known
                          from response in known.DefaultIfEmpty()
                          join content in db.Contents on response.ContentId equals content.Id into texts
                          from content in texts.DefaultIfEmpty()
                          where context.DescriptionId == description && context.Latent == latent
                          orderby context.Position, context.Band, context.Activation descending, context.Id
                          select new { Context = context, content.Text }).ToListAsync(stop);
        return [.. rows.Select(row => Cut(row.Context, row.Text))];
    }

    /// <summary>The sentence and what stands around it. A text that is gone, or shorter than the offsets say, has no parts.</summary>
    internal static ShownContext Cut(FeatureContext context, string? text)
    {
        var (start, end) = (context.Start, context.Start + context.Length);
        if (text is null || start < 0 || context.Length < 0 || end > text.Length)
            return new(context.ResponseId, context.Position, context.Band, context.Activation, null, "", "");
        if (context.Length > StretchMax)
            start = Whole(text, end - StretchMax);
        var isCut = start > context.Start;
        var from = isCut ? start : start <= AroundMax ? 0 : Whole(text, start - AroundMax);
        var to = text.Length - end <= AroundMax ? text.Length : Whole(text, end + AroundMax);
        return new(context.ResponseId, context.Position, context.Band, context.Activation, (from > 0 ? "…" : "") + text[from..start], text[start..end], text[end..to] + (to < text.Length ? "…" : ""));

        // A cut never goes through one character.
        static int Whole(string text, int at) => char.IsLowSurrogate(text[at]) ? at + 1 : at;
    }

    private static List<T> List<T>(string json)
    {
        try
        {
            return JsonSerializer.Deserialize<List<T>>(json) ?? [];
        }
        catch (JsonException)
        {
            return []; // written empty for dead features
        }
    }
}
