namespace Portal.Data;

/// <summary>
/// What became of something a person asked for: either it is done and here is the result, or it was refused and here is why, by field.
/// Mistakes of people are values, mistakes of programmers are exceptions.
/// </summary>
/// <typeparam name="T">The result of a request that went through.</typeparam>
/// <example><code>
/// var asked = await access.Check(user, Permission.Vote, stop);
/// if (asked.Refusal is { } refusal)
///     return refusal;
/// var person = asked.Value;
/// </code></example>
public abstract record Outcome<T> : IOutcome
{
    private Outcome() { }

    /// <summary>The request went through.</summary>
    public sealed record Done(T Result) : Outcome<T>;

    /// <summary>The request was refused; nothing was changed.</summary>
    public sealed record Refused(Refusal Why) : Outcome<T>;

    /// <summary>Why it was refused; null when it went through.</summary>
    public Refusal? Refusal => (this as Refused)?.Why;

    /// <summary>The result. Ask <see cref="Refusal"/> first.</summary>
    /// <exception cref="InvalidOperationException">The request was refused.</exception>
    public T Value => this is Done done ? done.Result : throw new InvalidOperationException($"Refused: {Refusal}");

    /// <summary>A result is a finished request.</summary>
    public static implicit operator Outcome<T>(T value) => new Done(value);

    /// <summary>A problem refuses the request.</summary>
    public static implicit operator Outcome<T>(Problem problem) => new Refused(new Refusal([problem]));

    /// <summary>A refusal of a step refuses the whole.</summary>
    public static implicit operator Outcome<T>(Refusal refusal) => new Refused(refusal);
}

/// <summary>What all outcomes have in common, for code that does not know the result's type (the write queue undoes what was refused).</summary>
public interface IOutcome
{
    /// <summary>Why it was refused; null when it went through.</summary>
    Refusal? Refusal { get; }
}

/// <summary>Why a request was refused: at least one problem, each naming the field it is about.</summary>
public sealed record Refusal(IReadOnlyList<Problem> Problems)
{
    /// <summary>The sort of the first problem, which decides the HTTP status.</summary>
    public ProblemKind Kind => Problems[0].Kind;

    /// <summary>All messages in one line, for logs and plain-text answers.</summary>
    public override string ToString() => string.Join(" ", Problems.Select(problem => problem.Message));

    /// <summary>The message about one field; null when nothing is wrong with it.</summary>
    public string? About(string field) => Problems.FirstOrDefault(problem => problem.Field == field)?.Message;
}

/// <summary>One reason why a request was refused.</summary>
/// <param name="Field">The field, column or file it is about; empty when it is about the request as a whole.</param>
/// <param name="Message">What is wrong, where, and what to do: "Row 12: `chosen` is empty."</param>
/// <param name="Kind">Which sort of refusal, so that HTTP endpoints can pick a status.</param>
public sealed record Problem(string Field, string Message, ProblemKind Kind = ProblemKind.Invalid);

/// <summary>Sorts of refusals, and the HTTP status each becomes.</summary>
public enum ProblemKind
{
    /// <summary>The input cannot be used (400).</summary>
    Invalid,
    /// <summary>The person may not do this (403).</summary>
    Forbidden,
    /// <summary>The thing is not there, or not visible to this person (404).</summary>
    NotFound,
    /// <summary>Somebody else was faster, or the state does not allow it any more (409).</summary>
    Conflict,
    /// <summary>Too much, too often or too large (429).</summary>
    TooMuch,
}
