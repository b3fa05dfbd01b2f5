using Microsoft.AspNetCore.Http;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Registry;
using Portal.Data.SaeFeatures;
using Portal.Data.Serving;
using Portal.Data.Storage;
using Portal.Engine.Datasets;
using Portal.Engine.Jobs;
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
        var pattern = Phrases.Parse(request.Pattern) ?? throw new DoorRefusal(StatusCodes.Status400BadRequest, "The pattern holds no phrase; write phrases with | between them.", "pattern");
        var scorer = EngineHttp.Part<LabelScorer>(http, "scores labels");
        await EngineHttp.Answer(http, await scorer.Score(request.Model, request.Latent, pattern, http.RequestAborted));
    }
}

/// <summary>Scores patterns on stored held-out contexts.</summary>
public sealed class LabelScorer(IDbContextFactory<PortalDbContext> contexts, DataDirectory directory)
{
    /// <summary>Scores one pattern.</summary>
    /// <exception cref="DoorRefusal">No such model, none that was described, or a latent it does not have.</exception>
    public async Task<LabelScoreResponse> Score(string model, int latent, Phrases pattern, CancellationToken stop)
    {
        await using var db = await contexts.CreateDbContextAsync(stop);
        var description = await Description(db, model, stop);
        if (latent < 0 || latent >= description.Latents)
            throw new DoorRefusal(StatusCodes.Status400BadRequest, $"Feature {latent} is not there; the model has features 0 to {description.Latents - 1}.", "latent");
        var heldOut = Read(description.Id);
        var own = heldOut.ByLatent[latent];
        var numbers = own.Contexts.Concat(own.Stretches).Select(context => context.Response).Distinct().ToList();
        var texts = await StoredTexts.Responses(db, numbers.Select(number => heldOut.Responses[number]), stop);
        var score = LabelScores.Score(own, Has, response => heldOut.Prompts[response], latent);
        return new LabelScoreResponse(score.Detection, score.Fuzzing, score.ScoredOn, score.WhyNot);

        bool? Has(LabelContext context) => texts.TryGetValue(heldOut.Responses[context.Response], out var response) ? pattern.Match(response.Text.AsSpan(context.Start, context.Length)) : null;
    }

    private static async Task<FeatureDescription> Description(PortalDbContext db, string model, CancellationToken stop)
    {
        var version = ModelVersionId.TryParse(model, null, out var id) ? await db.ModelVersions.AsNoTracking().FirstOrDefaultAsync(v => v.Id == id, stop) : null;
        if (version is null)
            throw new DoorRefusal(StatusCodes.Status404NotFound, $"There is no model {(model.Length <= 60 ? model : model[..60] + "...")}; GET {ModelList.Route} lists them.", "model");
        if (version.Status is ModelStatus.Retired)
            throw new DoorRefusal(StatusCodes.Status404NotFound, $"{version.Label} is retired and answers no more.", "model");
        return await ToggledVersions.DescriptionOf(db, version, stop)
            ?? throw new DoorRefusal(StatusCodes.Status409Conflict, CodedPairs.NotDescribed(version), "model");
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
