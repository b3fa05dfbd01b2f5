using System.Security.Claims;
using System.Text.Json;
using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.Review;
using Portal.Web.Accounts;
using Portal.Web.Api;

namespace Portal.Web.Annotate;

/// <summary>
/// What annotate.js speaks to: verdicts, skips and drafts go by HTTP, so that they work while no circuit does. Every answer is given after
/// the durable commit.
/// </summary>
public static class AnnotateApi
{
    public sealed record QueueBody(ProjectId ProjectId, string Kind, ModelVersionId? CandidateId);
    public sealed record UndoBody(AssignmentId AssignmentId);
    public sealed record SkipBody(string? Reason);
    public sealed record DraftBody(JsonElement Body, DateTimeOffset ClientTime);
    public sealed record FlagBody(FlagId FlagId, ResponseId ResponseId, FlagReason Reason, string? Note, string Place, FlagSeverity? Severity = null, string? Preferred = null);

    public static IServiceCollection AddAnnotate(this IServiceCollection services)
    {
        services.AddSingleton<NextTask>();
        services.AddSingleton<TakeTask>();
        services.AddSingleton<SubmitJudgement>();
        services.AddSingleton<SkipTask>();
        services.AddSingleton<UndoJudgement>();
        services.AddSingleton<SaveDraft>();
        services.AddSingleton<FlagResponse>();
        services.AddSingleton<ShowAssignment>();
        services.AddSingleton<FindQueue>();
        services.AddSingleton<ListLast>();
        services.AddSingleton<ShowQueue>();
        services.AddSingleton<ListQueues>();
        return services;
    }

    public static void MapAnnotateApi(this IEndpointRouteBuilder app)
    {
        var api = app.MapGroup("/api/v1").RequireRateLimiting(AccountsSetup.ApiLimit).AddEndpointFilter<RequireAntiforgery>();

        api.MapPost("/assignments", async (QueueBody body, ClaimsPrincipal user, TakeTask take, CancellationToken stop) =>
            KindOf(body.Kind) is { } kind
                ? (await take.Handle(user, new Queue(body.ProjectId, kind, body.CandidateId), stop)).ToResult()
                : UnknownKind(body.Kind));

        api.MapPost("/judgements", async (JudgementRequest body, ClaimsPrincipal user, SubmitJudgement submit, CancellationToken stop) =>
            (await submit.Handle(user, body, stop)).ToResult());

        api.MapPost("/judgements/undo", async (UndoBody body, ClaimsPrincipal user, UndoJudgement undo, CancellationToken stop) =>
            (await undo.Handle(user, body.AssignmentId, stop)).ToResult());

        api.MapPost("/assignments/{id}/skip", async (AssignmentId id, SkipBody body, ClaimsPrincipal user, SkipTask skip, CancellationToken stop) =>
            (await skip.Handle(user, id, body.Reason, stop)).ToResult());

        api.MapPut("/assignments/{id}/draft", async (AssignmentId id, DraftBody body, ClaimsPrincipal user, SaveDraft save, CancellationToken stop) =>
            (await save.Handle(user, id, body.Body.GetRawText(), body.ClientTime, stop)).ToResult());

        api.MapPost("/flags", async (FlagBody body, ClaimsPrincipal user, FlagResponse flag, CancellationToken stop) =>
            (await flag.Handle(user, body.FlagId, body.ResponseId, new FlagInput
            {
                Reason = body.Reason, Severity = body.Severity ?? FlagSeverity.Medium, Note = body.Note, Preferred = body.Preferred, Place = body.Place,
            }, stop)).ToResult());
    }

    /// <summary>"pairwise" or "binary"; null for anything else.</summary>
    public static TaskKind? KindOf(string? name) => name switch
    {
        "pairwise" => TaskKind.Pairwise,
        "binary" => TaskKind.Binary,
        _ => null,
    };

    /// <summary>The name of a kind in JSON and forms.</summary>
    public static string NameOf(TaskKind kind) => kind switch
    {
        TaskKind.Pairwise => "pairwise",
        TaskKind.Binary => "binary",
    };

    private static IResult UnknownKind(string kind) =>
        ((Outcome<int>)new Problem("kind", $"\"{kind}\" is neither \"pairwise\" nor \"binary\".")).ToResult();
}
