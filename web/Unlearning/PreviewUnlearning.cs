using Portal.Data;
using Portal.Data.Serving;
using Portal.Data.Unlearning;
using Portal.Web.Shell;

namespace Portal.Web.Unlearning;

/// <summary>Asks the engine what forgetting some pairs, or changing them, would do, for handlers that have checked who asks and for what. Stores nothing.</summary>
internal static class PreviewUnlearning
{
    public static async Task<Outcome<UnlearningPreview>> Ask(PortalDbContext db, EngineClient engine, CheckedUnlearning of, UnlearningChoice choice, UnlearningAction action, CancellationToken stop)
    {
        var effect = await engine.PreviewRemoval(new RemovalPreviewRequest($"{of.Model.Id}", [.. of.Judgements.Select(judgement => judgement.Value)], action), stop);
        if (effect.Refusal is { } unseen)
            return unseen;
        return await UnlearningPreview.Of(db, of.Explanation, effect.Value, of.Judgements, of.Of, of.Protected, action, areTheirs: choice.Annotator is not null, stop);
    }
}
