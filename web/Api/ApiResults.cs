using Portal.Data;

namespace Portal.Web.Api;

/// <summary>Turns outcomes into HTTP answers: 200 with the value, or the refusal's status with its problems as JSON.</summary>
public static class ApiResults
{
    /// <summary>The body of every refused request.</summary>
    public sealed record ProblemsBody(IReadOnlyList<Problem> Problems);

    public static IResult ToResult<T>(this Outcome<T> outcome) =>
        outcome.Refusal is { } refusal ? Results.Json(new ProblemsBody(refusal.Problems), statusCode: StatusOf(refusal.Kind)) : Results.Ok(outcome.Value);

    /// <summary>The HTTP status of a refusal.</summary>
    public static int StatusOf(ProblemKind kind) => kind switch
    {
        ProblemKind.Invalid => StatusCodes.Status400BadRequest,
        ProblemKind.Forbidden => StatusCodes.Status403Forbidden,
        ProblemKind.NotFound => StatusCodes.Status404NotFound,
        ProblemKind.Conflict => StatusCodes.Status409Conflict,
        ProblemKind.TooMuch => StatusCodes.Status429TooManyRequests,
    };
}
