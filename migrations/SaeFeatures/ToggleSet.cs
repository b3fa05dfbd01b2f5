using System.Text.Json;
using Portal.Data.Registry;

namespace Portal.Data.SaeFeatures;

/// <summary>
/// Features of one reward model with the factor each one's weight is multiplied by, and how far the change has come: a draft, waiting for a second
/// person, or decided.
/// </summary>
/// <remarks>
/// r' = Σ m_i w_i z_i, m = 1 where nothing is said. Factors only: adding to a feature's value everywhere moves all rewards alike and cannot change
/// a ranking (specs/sarm.md §2.4). A proposed set has the version it would make; approving releases that version through <see cref="Feedback.Project.Release"/>.
/// </remarks>
public sealed class ToggleSet
{
    public const int NameLengthMax = 120;
    public const int ReasonLengthMax = 2_000;
    public const int NoteLengthMax = 2_000;
    public const int TogglesMax = 64;

    /// <summary>Factors beyond this say nothing more: the features decide alone long before.</summary>
    public const double MultiplierMax = 100;

    public required ToggleSetId Id { get; init; }
    public required ProjectId ProjectId { get; init; }

    /// <summary>The reward model that the factors change; never another one.</summary>
    public required ModelVersionId ModelVersionId { get; init; }

    /// <summary>1, 2, 3 ... within the project.</summary>
    public required int Number { get; init; }

    public required Guid Author { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }

    public string Name { get; private set; } = "";

    /// <summary>Why, in the author's words.</summary>
    public string Reason { get; private set; } = "";

    /// <summary>The factors (<see cref="Toggle"/> list as JSON).</summary>
    public string TogglesJson { get; private set; } = "[]";

    /// <summary>What the change is meant to move: pairs in which exactly one response contains one of these phrases (separated by "|"). Empty: no target is claimed.</summary>
    public string Target { get; private set; } = "";

    public ToggleSetState State { get; private set; } = ToggleSetState.Draft;

    /// <summary>The preview that the author saw when proposing (<see cref="Serving.TogglePreviewResponse"/> as JSON); null before.</summary>
    public string? PreviewJson { get; private set; }

    /// <summary>The job that makes the version; null before it was proposed.</summary>
    public JobId? JobId { get; private set; }

    /// <summary>The version it made; null before it exists.</summary>
    public ModelVersionId? PublishedVersionId { get; private set; }

    /// <summary>Who approved or refused; null before. The author, where the installation has one admin only.</summary>
    public Guid? DecidedBy { get; private set; }
    public DateTimeOffset? DecidedAt { get; private set; }

    /// <summary>Why, in the words of who decided. A refusal always has them; null before a decision, and where an approval came without.</summary>
    public string? DecisionNote { get; private set; }

    /// <summary>Guards against two people changing it at once.</summary>
    public int RowVersion { get; private set; }

    /// <summary>True where author and approver are one person because there was no second one.</summary>
    public bool IsSelfApproved => State is ToggleSetState.Published && DecidedBy == Author;

    /// <summary>The factors.</summary>
    public IReadOnlyList<Toggle> Toggles() => JsonSerializer.Deserialize<List<Toggle>>(TogglesJson) ?? [];

    /// <summary>Changes a draft.</summary>
    /// <returns>What is wrong with the input; null when it was taken.</returns>
    public Problem? Change(string name, string reason, string target, IReadOnlyList<Toggle> toggles, int latents)
    {
        if (State is not ToggleSetState.Draft)
            return new Problem("", "This set was proposed already; make a copy to change it.", ProblemKind.Conflict);
        if (Check(toggles, latents) is { } problem)
            return problem;
        if (name.Trim().Length is 0 or > NameLengthMax)
            return new Problem("name", $"A name has 1 to {NameLengthMax} characters.");
        if (reason.Length > ReasonLengthMax)
            return new Problem("reason", $"The reason has {reason.Length} characters, at most {ReasonLengthMax} are kept.");
        if (target.Length > FeatureLabel.PatternLengthMax)
            return new Problem("target", $"The target has {target.Length} characters, at most {FeatureLabel.PatternLengthMax} are kept.");
        (Name, Reason, Target, TogglesJson) = (name.Trim(), reason.Trim(), target.Trim(), JsonSerializer.Serialize(toggles.OrderBy(toggle => toggle.Latent)));
        RowVersion++;
        return null;
    }

    /// <summary>Asks for a second person's approval.</summary>
    public Problem? Propose(string previewJson, JobId jobId)
    {
        if (State is not ToggleSetState.Draft)
            return new Problem("", "This set was proposed already.", ProblemKind.Conflict);
        if (Toggles().Count == 0)
            return new Problem("toggles", "Toggle at least one feature first.");
        if (Reason.Length == 0)
            return new Problem("reason", "Say in a few words why; the reason is kept with the release.");
        (State, PreviewJson, JobId) = (ToggleSetState.Waiting, previewJson, jobId);
        RowVersion++;
        return null;
    }

    /// <summary>Takes a proposal back whose version will not come (its job failed, or was cancelled), so that its author can change it and ask again.</summary>
    /// <param name="isJobUnderWay">The job may still make the version.</param>
    public Problem? Withdraw(bool isJobUnderWay)
    {
        if (State is not ToggleSetState.Waiting)
            return new Problem("", "Only a set that waits for approval can be taken back.", ProblemKind.Conflict);
        if (PublishedVersionId is not null)
            return new Problem("", "The version of this set is made. Refuse the set, then make a copy to change it.", ProblemKind.Conflict);
        if (isJobUnderWay)
            return new Problem("", "The job that makes the version is under way; it takes seconds. Cancel it on its page if it hangs.", ProblemKind.Conflict);
        (State, PreviewJson, JobId) = (ToggleSetState.Draft, null, null);
        RowVersion++;
        return null;
    }

    /// <summary>The job has made the version.</summary>
    public void Made(ModelVersionId version)
    {
        PublishedVersionId = version;
        RowVersion++;
    }

    /// <summary>Notes the decision of a second person; releasing is the caller's, in the same write.</summary>
    /// <param name="isAlone">There is no second admin who could decide.</param>
    /// <param name="note">Their words; a refusal needs some, because its author has to know what to change.</param>
    public Problem? Decide(bool approve, Guid by, bool isAlone, string? note, DateTimeOffset at)
    {
        if (State is not ToggleSetState.Waiting)
            return new Problem("", State is ToggleSetState.Draft ? "This set was not proposed yet." : "Somebody decided about this set already.", ProblemKind.Conflict);
        if (approve && by == Author && !isAlone)
            return new Problem("", "A second person must approve what you proposed.", ProblemKind.Forbidden);
        if (approve && PublishedVersionId is null)
            return new Problem("", "The version is not made yet; its job has not ended.", ProblemKind.Conflict);
        var words = note?.Trim() ?? "";
        if (words.Length > NoteLengthMax)
            return new Problem("note", $"The note has {words.Length} characters, at most {NoteLengthMax} are kept.");
        if (!approve && words.Length == 0)
            return new Problem("note", "Say in a few words why you refuse it, so that its author knows what to change.");
        (State, DecidedBy, DecidedAt, DecisionNote) = (approve ? ToggleSetState.Published : ToggleSetState.Refused, by, at, words.Length > 0 ? words : null);
        RowVersion++;
        return null;
    }

    /// <summary>What is wrong with some factors; null when nothing is.</summary>
    public static Problem? Check(IReadOnlyList<Toggle> toggles, int latents)
    {
        if (toggles.Count > TogglesMax)
            return new Problem("toggles", $"{toggles.Count} features are toggled, at most {TogglesMax} in one set.");
        foreach (var toggle in toggles)
        {
            if (toggle.Latent < 0 || toggle.Latent >= latents)
                return new Problem("toggles", $"There is no feature {toggle.Latent}: this reward model has the features 0 to {latents - 1}.");
            if (!double.IsFinite(toggle.Multiplier) || Math.Abs(toggle.Multiplier) > MultiplierMax)
                return new Problem("toggles", $"Feature {toggle.Latent}: the factor {toggle.Multiplier} is not between −{MultiplierMax} and {MultiplierMax}.");
        }
        return toggles.GroupBy(toggle => toggle.Latent).FirstOrDefault(same => same.Count() > 1) is { } twice
            ? new Problem("toggles", $"Feature {twice.Key} is toggled twice.")
            : null;
    }
}

/// <summary>One feature and the factor of its weight: 0 ablates, −1 flips, 1 leaves it.</summary>
public sealed record Toggle(int Latent, double Multiplier);

/// <summary>Where a toggle set stands.</summary>
public enum ToggleSetState { Draft = 1, Waiting = 2, Published = 3, Refused = 4 }
