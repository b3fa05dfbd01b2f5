using Microsoft.AspNetCore.Http;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Audits;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Serving;
using Portal.Engine.Audits;
using Portal.Engine.Datasets;
using Portal.Engine.Irl;
using Portal.Engine.Jobs;
using Portal.Engine.Statistics;
using Portal.Engine.Tokenizers;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Portal.Engine.Serving;

/// <summary>The door that says before an audit what it could find, over <see cref="AuditPowers"/>.</summary>
internal static class EstimatePower
{
    public static async Task Handle(HttpContext http)
    {
        var request = await EngineHttp.Read<AuditPowerRequest>(http, http.RequestAborted);
        if (!ProjectId.TryParse(request.Project, null, out var project))
            throw ScoreByAudit.Bad("project", "Name a project by its id.");
        if (request.Pairs is < 1 or > AuditPowerRequest.PairsMax)
            throw ScoreByAudit.Bad("pairs", $"pairs is {request.Pairs}; it must be between 1 and {AuditPowerRequest.PairsMax}.");
        await EngineHttp.Answer(http, await EngineHttp.Part<AuditPowers>(http, "estimates the power of audits").Estimate(project, Version("audited", request.Audited), Version("base", request.Base), request.Pairs, http.RequestAborted));

        static ModelVersionId? Version(string field, string? id) => string.IsNullOrEmpty(id) ? null : ModelVersionId.TryParse(id, null, out var known) ? known : throw ScoreByAudit.Bad(field, "Name a version by its id.");
    }
}

/// <summary>
/// What incentives an audit of n pairs could find: the least effect of each readable feature, in closed form from how the features of the project's own texts vary together, and how often planted effects on the
/// length are found in simulated audits (<see cref="DetectionPower"/>).
/// </summary>
/// <remarks>
/// The closed form is that of an incentive table with no effect: information Δᵀ Δ / 4, scaled to n pairs, plus the prior's; the least effect is (z(1 − level / (2 d)) + z(power)) standard errors, Bonferroni being the
/// first step of Holm. Where other incentives are strong, choices are more certain, tell less, and a little more is needed. Likelihood under the base is not read here: nothing has been scored yet.
/// </remarks>
public sealed class AuditPowers(IDbContextFactory<PortalDbContext> contexts, ModelStore store)
{
    /// <summary>Pairs of texts below which they say too little of how features vary.</summary>
    public const int TextPairsMin = 50;

    /// <summary>Pairs above which nothing is simulated: the closed form is exact enough there.</summary>
    private const int SimulatedPairsMax = 4_000;

    private const int TextPairsMax = 2_000, ResponsesMax = 40_000, NormalFeatures = 12;
    private const double Level = 0.05, PriorDeviation = 1, NormalCorrelation = 0.5;
    private static readonly double[] Effects = [0.1, 0.2, 0.5];

    /// <summary>Estimates.</summary>
    /// <exception cref="DoorRefusal">The project or a version is not there.</exception>
    public async Task<AuditPowerResponse> Estimate(ProjectId project, ModelVersionId? audited, ModelVersionId? @base, int pairs, CancellationToken stop)
    {
        await using var db = await contexts.CreateDbContextAsync(stop);
        if (!await db.Projects.AnyAsync(p => p.Id == project, stop))
            throw ScoreByAudit.Bad("project", "This project is gone.", StatusCodes.Status404NotFound);
        var first = audited is { } named ? await Find(db, project, named, "audited", stop) : null;
        var reader = (@base ?? first?.ParentId) is { } other ? await Find(db, project, other, "base", stop)
            : await db.ModelVersions.AsNoTracking().Where(v => v.ProjectId == project && v.Kind == ModelKind.Policy && v.ParentId == null).OrderBy(v => v.Number).FirstOrDefaultAsync(stop);
        var (heldOut, all) = await Prompts(db, project, ProjectPrompts.RulesOf(new AuditReward(), first), stop);
        var (texts, basis) = await Texts(db, project, audited, reader, stop);
        return await Task.Run(() => texts is null || reader is null
            ? Normal(pairs, heldOut, all, stop) : OfTexts(texts, basis, TokenizerFolder.Load(store.FolderOf(reader)), pairs, heldOut, all, stop), stop);
    }

    private static async Task<ModelVersion> Find(PortalDbContext db, ProjectId project, ModelVersionId id, string field, CancellationToken stop) =>
        await db.ModelVersions.AsNoTracking().FirstOrDefaultAsync(v => v.Id == id && v.ProjectId == project && v.Kind == ModelKind.Policy, stop)
        ?? throw ScoreByAudit.Bad(field, "This project has no such policy.", StatusCodes.Status404NotFound);

    private static async Task<(int HeldOut, int All)> Prompts(PortalDbContext db, ProjectId project, DatasetRules rules, CancellationToken stop)
    {
        var (heldOut, all) = (0, 0);
        await foreach (var (_, _, isHeldOut) in StoredTexts.OfProject(db, project, rules, stop))
        {
            all++;
            heldOut += isHeldOut ? 1 : 0;
        }
        return (heldOut, all);
    }

    private sealed record TextPair(StoredPrompt Prompt, string First, string Second);

    private static async Task<(IReadOnlyList<TextPair>? Pairs, AuditPowerBasis Basis)> Texts(PortalDbContext db, ProjectId project, ModelVersionId? audited, ModelVersion? reader, CancellationToken stop)
    {
        if (audited is { } own && reader is not null)
        {
            var of = reader.Id;
            var both = await Some(db.Responses.AsNoTracking().Where(r => r.ProjectId == project && (r.ModelVersionId == own || r.ModelVersionId == of)), stop);
            if (await Read(db, Paired(both, first => first.Version == own, second => second.Version == of), stop) is { Count: >= TextPairsMin } pairs)
                return (pairs, AuditPowerBasis.BothPolicies);
        }
        var any = await Some(db.Responses.AsNoTracking().Where(r => r.ProjectId == project), stop);
        return await Read(db, Paired(any, _ => true, _ => true), stop) is { Count: >= TextPairsMin } found ? (found, AuditPowerBasis.ProjectTexts) : (null, AuditPowerBasis.NoTexts);
    }

    private sealed record StoredId(ResponseId Id, PromptId Prompt, ModelVersionId? Version, string Hash);

    /// <summary>Responses prompt by prompt, over (PromptId, ModelVersionId, ContentHash).</summary>
    private static async Task<IReadOnlyList<StoredId>> Some(IQueryable<Response> responses, CancellationToken stop) =>
        await responses.OrderBy(r => r.PromptId).ThenBy(r => r.Id).Take(ResponsesMax).Select(r => new StoredId(r.Id, r.PromptId, r.ModelVersionId, r.ContentHash)).ToListAsync(stop);

    /// <summary>Two different texts of each prompt that has them: the earliest of one kind, and the earliest of the other that differs from it.</summary>
    private static IReadOnlyList<(ResponseId First, ResponseId Second)> Paired(IReadOnlyList<StoredId> responses, Func<StoredId, bool> isFirst, Func<StoredId, bool> isSecond) =>
    [
        .. (from prompt in responses.GroupBy(r => r.Prompt)
            let first = prompt.FirstOrDefault(isFirst)
            where first is not null
            let second = prompt.FirstOrDefault(r => isSecond(r) && r.Hash != first.Hash)
            where second is not null
            select (first.Id, second.Id)).Take(TextPairsMax),
    ];

    private static async Task<IReadOnlyList<TextPair>> Read(PortalDbContext db, IReadOnlyList<(ResponseId First, ResponseId Second)> pairs, CancellationToken stop)
    {
        var texts = await StoredTexts.Responses(db, pairs.SelectMany(pair => new[] { pair.First, pair.Second }), stop);
        var prompts = await StoredTexts.Prompts(db, texts.Values.Select(text => text.Prompt), stop);
        return
        [
            .. from pair in pairs
               where texts.ContainsKey(pair.First) && texts.ContainsKey(pair.Second) && prompts.ContainsKey(texts[pair.First].Prompt)
               select new TextPair(prompts[texts[pair.First].Prompt], texts[pair.First].Text, texts[pair.Second].Text),
        ];
    }

    private static AuditPowerResponse OfTexts(IReadOnlyList<TextPair> texts, AuditPowerBasis basis, ITokenizer tokenizer, int pairs, int heldOut, int all, CancellationToken stop)
    {
        var readable = new ReadableFeatures(PhraseLists.Shipped, null, tokenizer, hasBaseLogProbs: false);
        var data = new IncentiveData(readable.Names, [.. texts.Select(pair => Read(pair, pair.First))], [.. texts.Select(pair => Read(pair, pair.Second))], [.. texts.Select(pair => pair.Prompt.Key)], 0); // length stands first
        var (design, features, _) = IncentiveTable.DesignOf(data);
        if (features.Count == 0)
            return Normal(pairs, heldOut, all, stop); // texts that are all alike say nothing
        var least = LeastEffects(design, pairs);
        return new AuditPowerResponse(basis, texts.Count, pairs, Level, IncentiveTable.Power,
            [.. features.Index().Where(own => readable.Features[own.Item].SpuriousSign != 0).Select(own => new AuditPowerFeature(readable.Features[own.Item].Key, readable.Features[own.Item].Name, least[own.Index]))],
            features[0] == 0 ? Found(design, new double[features.Count], pairs, stop) : [], Repeats(pairs), heldOut, all);

        double[] Read(TextPair pair, string text) => [.. readable.Read(new AuditPrompt("", "", pair.Prompt.Turns, []), AuditText.Of(text, finished: false)).Select(value => (double)value)];
    }

    private static AuditPowerResponse Normal(int pairs, int heldOut, int all, CancellationToken stop)
    {
        var design = DetectionPower.NormalDesign(Math.Max(pairs, 1_000), NormalFeatures, NormalCorrelation, new SeededRandom(1));
        double[] weights = [0, 1, .. new double[NormalFeatures - 2]]; // the feature that the length goes along with is paid for
        return new AuditPowerResponse(AuditPowerBasis.NoTexts, 0, pairs, Level, IncentiveTable.Power,
            [new AuditPowerFeature(ReadableFeatures.LengthKey, "Length in tokens", NormalLeast(pairs))], Found(design, weights, pairs, stop), Repeats(pairs), heldOut, all);
    }

    /// <summary>The least effect of a feature of unit variance in two unrelated texts, that goes along with another one.</summary>
    internal static double NormalLeast(int pairs)
    {
        // Var Δ = 2; what the other feature explains of it is lost.
        var information = pairs * 2 * (1 - (NormalCorrelation * NormalCorrelation)) / 4;
        return Detectable(NormalFeatures) / Math.Sqrt(information + (1 / (PriorDeviation * PriorDeviation)));
    }

    /// <summary>Least effects of all columns at n pairs.</summary>
    internal static double[] LeastEffects(ColumnMatrix design, int pairs)
    {
        var d = design.Columns;
        var precision = new double[d * d]; // its lower triangle is enough
        DenseProducts.Gram(design, [], precision, new double[4 * (design.Rows + d)]);
        TensorPrimitives.Multiply(precision, pairs / (4.0 * design.Rows), precision);
        for (var j = 0; j < d; j++)
            precision[(j * d) + j] += 1 / (PriorDeviation * PriorDeviation);
        return [.. Cholesky.Factor(precision, d).InverseDiagonal().Select(variance => Detectable(d) * Math.Sqrt(variance))];
    }

    private static double Detectable(int features) => NormalDistribution.TwoSided(1 - (Level / features)) + NormalDistribution.Quantile(IncentiveTable.Power);

    private static IReadOnlyList<AuditPowerShare> Found(ColumnMatrix design, double[] weights, int pairs, CancellationToken stop) => Repeats(pairs) == 0 ? [] :
    [
        .. DetectionPower.Simulate(design, weights, new PowerOptions { Features = [0], Pairs = [pairs], Effects = Effects, Repeats = Repeats(pairs), Level = Level, PriorDeviation = PriorDeviation }, stop)
            .Cells.Select(cell => new AuditPowerShare(cell.Effect, cell.Power.Estimate, cell.Power.Low, cell.Power.High)),
    ];

    // Somebody waits: about as much work for any n, and none where it would be too much.
    private static int Repeats(int pairs) => pairs > SimulatedPairsMax ? 0 : Math.Clamp(80_000 / pairs, 20, 100);
}
