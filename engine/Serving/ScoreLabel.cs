using Microsoft.AspNetCore.Http;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Data.Serving;
using Portal.Data.Storage;
using Portal.Engine.Sae;

namespace Portal.Engine.Serving;

/// <summary>
/// POST /v1/features/score-label: tests a person's pattern on the held-out contexts that the newest description of the model drew for a feature. No model is opened.
/// </summary>
internal static class ScoreLabel
{
    public static async Task Handle(HttpContext http)
    {
        var request = await EngineHttp.Read<LabelScoreRequest>(http, http.RequestAborted);
        if (string.IsNullOrWhiteSpace(request.Model))
            throw new DoorRefusal(StatusCodes.Status400BadRequest, $"Name a reward model; GET {ModelList.Route} lists them.", "model");
        if (request.Pattern is { Length: > FeatureLabel.PatternLengthMax })
            throw new DoorRefusal(StatusCodes.Status400BadRequest, $"The pattern has {request.Pattern.Length} characters, at most {FeatureLabel.PatternLengthMax} are read.", "pattern");
        var pattern = PhrasePattern.Parse(request.Pattern) ?? throw new DoorRefusal(StatusCodes.Status400BadRequest, "The pattern has no word; give phrases separated by \"|\".", "pattern");
        var scorer = EngineHttp.Part<LabelScorer>(http, "scores labels");
        await EngineHttp.Answer(http, await scorer.Score(request.Model, request.Latent, pattern, http.RequestAborted));
    }
}

/// <summary>Scores patterns on stored held-out contexts.</summary>
public sealed class LabelScorer(IDbContextFactory<PortalDbContext> contexts, DataDirectory directory)
{
    /// <summary>Versions between a toggled one and the one whose features it shares.</summary>
    private const int StepsMax = 16;

    /// <summary>Scores one pattern.</summary>
    /// <exception cref="DoorRefusal">No such model, none that was described, or a latent it does not have.</exception>
    public async Task<LabelScoreResponse> Score(string model, int latent, PhrasePattern pattern, CancellationToken stop)
    {
        await using var db = await contexts.CreateDbContextAsync(stop);
        var description = await Description(db, model, stop);
        if (latent < 0 || latent >= description.Latents)
            throw new DoorRefusal(StatusCodes.Status400BadRequest, $"Feature {latent} is not there; the model has features 0 to {description.Latents - 1}.", "latent");
        var heldOut = Read(description.Id);
        var own = heldOut.ByLatent[latent];
        var numbers = own.Contexts.Concat(own.Stretches).Select(context => context.Response).Distinct().ToList();
        var ids = numbers.Select(number => heldOut.Responses[number]).ToList();
        var texts = await (
            from r in db.Responses.AsNoTracking()
            where ids.Contains(r.Id)
            join c in db.Contents on r.ContentId equals c.Id
            where c.Text != null
            select new { r.Id, c.Text }).ToDictionaryAsync(r => r.Id, r => r.Text!, stop); // asked for above
        var score = LabelScores.Score(own, Has, response => heldOut.Prompts[response], latent);
        return new LabelScoreResponse(score.Detection, score.Fuzzing, score.ScoredOn, score.WhyNot);

        bool? Has(LabelContext context) => texts.TryGetValue(heldOut.Responses[context.Response], out var text) ? pattern.Matches(text.Substring(context.Start, context.Length)) : null;
    }

    /// <summary>The newest description of a version, or of the one it was made of by toggles.</summary>
    private static async Task<FeatureDescription> Description(PortalDbContext db, string model, CancellationToken stop)
    {
        var unknown = new DoorRefusal(StatusCodes.Status404NotFound, $"There is no model {(model.Length <= 60 ? model : model[..60] + "...")}; GET {ModelList.Route} lists them.", "model");
        if (!ModelVersionId.TryParse(model, null, out var asked))
            throw unknown;
        var first = await db.ModelVersions.AsNoTracking().FirstOrDefaultAsync(v => v.Id == asked, stop) ?? throw unknown;
        var version = first;
        for (var step = 0; step < StepsMax && version is { Kind: ModelKind.RewardModel }; step++)
        {
            var (id, above) = (version.Id, version.ParentId);
            if (await db.FeatureDescriptions.AsNoTracking().Where(d => d.ModelVersionId == id).OrderByDescending(d => d.At).FirstOrDefaultAsync(stop) is { } found)
                return found;
            version = above is null ? null : await db.ModelVersions.AsNoTracking().FirstOrDefaultAsync(v => v.Id == above, stop);
        }
        throw new DoorRefusal(StatusCodes.Status400BadRequest, $"The features of {first.Label} have not been described yet; start that on its page of features.", "model");
    }

    private HeldOutContexts Read(FeatureDescriptionId description)
    {
        var path = HeldOutContexts.PathOf(directory.Features, description);
        try
        {
            return HeldOutContexts.Read(path);
        }
        catch (Exception e) when (e is FormatException or IOException)
        {
            throw new DoorRefusal(StatusCodes.Status503ServiceUnavailable, $"The held-out contexts of this description cannot be read: {e.Message} Describe the features again.", "model");
        }
    }
}
