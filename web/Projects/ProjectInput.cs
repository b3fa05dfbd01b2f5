using Portal.Data;
using Portal.Data.Feedback;

namespace Portal.Web.Projects;

/// <summary>What the project form sends, as typed.</summary>
public sealed class ProjectInput
{
    public const int ContentWarningLengthMax = 500;

    public string? Name { get; set; }
    public string? Guidelines { get; set; }
    public string? ContentWarning { get; set; }
    public bool Pairwise { get; set; } = true;
    public bool Binary { get; set; } = true;
    public int VotesPerTask { get; set; } = 1;
    public int JobsPerDay { get; set; } = 50;

    /// <summary>A topic a line.</summary>
    public string? ProtectedTopics { get; set; }

    /// <summary>The form filled with what a project has now.</summary>
    public static ProjectInput Of(Project project) => new()
    {
        Name = project.Name, Guidelines = project.Guidelines, ContentWarning = project.ContentWarning,
        Pairwise = project.TaskKinds.HasFlag(TaskKinds.Pairwise), Binary = project.TaskKinds.HasFlag(TaskKinds.Binary),
        VotesPerTask = project.VotesPerTask, JobsPerDay = project.JobsPerDay, ProtectedTopics = string.Join('\n', project.ProtectedTopics()),
    };

    internal TaskKinds Kinds => (Pairwise ? TaskKinds.Pairwise : TaskKinds.None) | (Binary ? TaskKinds.Binary : TaskKinds.None);

    /// <summary>Everything that is wrong with the form, each named by its field; null when nothing is.</summary>
    internal Refusal? Check()
    {
        var problems = new List<Problem>();
        var name = Name?.Trim() ?? "";
        if (name.Length == 0)
            problems.Add(new("name", "Give the project a name."));
        else if (name.Length > Project.NameLengthMax)
            problems.Add(new("name", $"The name has {name.Length} characters; at most {Project.NameLengthMax} are kept."));
        else if (name.Any(char.IsControl))
            problems.Add(new("name", "The name holds a line break or another control character; remove it."));
        if (Guidelines is { Length: > Project.GuidelinesLengthMax } guidelines)
            problems.Add(new("guidelines", $"The guidelines have {guidelines.Length:N0} characters; at most {Project.GuidelinesLengthMax:N0} are kept."));
        if (Guidelines is { } text && text.Contains('\0'))
            problems.Add(new("guidelines", "The guidelines hold a NUL character; remove it."));
        if (ContentWarning is { Length: > ContentWarningLengthMax } warning)
            problems.Add(new("contentWarning", $"The warning has {warning.Length} characters; at most {ContentWarningLengthMax} are kept."));
        if (ContentWarning is { } words && words.Contains('\0'))
            problems.Add(new("contentWarning", "The warning holds a NUL character; remove it."));
        if (Kinds is TaskKinds.None)
            problems.Add(new("taskKinds", "Choose at least one kind of task."));
        if (VotesPerTask is < 1 or > Project.VotesPerTaskMax)
            problems.Add(new("votesPerTask", $"A task wants 1 to {Project.VotesPerTaskMax} votes."));
        if (JobsPerDay is < 0 or > Project.JobsPerDayMax)
            problems.Add(new("jobsPerDay", $"A project may start 0 to {Project.JobsPerDayMax:N0} jobs a day."));
        var topics = Topics().Where(topic => topic.Length > 0).Distinct(StringComparer.Ordinal).ToList();
        if (topics.Count > Project.ProtectedTopicsMax)
            problems.Add(new("protectedTopics", $"These are {topics.Count} topics; at most {Project.ProtectedTopicsMax} are protected."));
        if (topics.Find(topic => topic.Length > Project.TopicLengthMax || topic.Any(char.IsControl)) is { } odd)
            problems.Add(new("protectedTopics", $"Line {Topics().ToList().IndexOf(odd) + 1} is no topic: it has {odd.Length} characters (at most {Project.TopicLengthMax}), or a control character."));
        return problems.Count > 0 ? new Refusal(problems) : null;
    }

    private IEnumerable<string> Topics() => (ProtectedTopics ?? "").ReplaceLineEndings("\n").Split('\n').Select(topic => topic.Trim());

    /// <summary>Writes the checked form into a project.</summary>
    internal void ApplyTo(Project project)
    {
        project.Protect(Topics());
        project.Change(Name!.Trim(), Guidelines?.ReplaceLineEndings("\n") ?? "", // Check refused an empty name
            string.IsNullOrWhiteSpace(ContentWarning) ? null : ContentWarning.Trim(), Kinds, VotesPerTask, JobsPerDay);
    }
}
