namespace Portal.Web.Components;

/// <summary>Where one step of a run or a request stands.</summary>
public enum StepState
{
    Waiting,
    Current,
    Done,
    Failed,
}

/// <summary>One line of <c>Steps</c>.</summary>
/// <param name="Title">Two or three words.</param>
/// <param name="State">At most one step of a list is <see cref="StepState.Current"/>.</param>
/// <param name="Note">When, by whom, or what it waits for.</param>
/// <param name="Href">Where the step is done; the title becomes a link.</param>
public sealed record StepItem(string Title, StepState State, string? Note = null, string? Href = null);
