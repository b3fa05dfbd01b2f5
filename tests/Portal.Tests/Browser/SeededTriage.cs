using Portal.Data;
using Portal.Data.Feedback;
using Portal.Data.Registry;
using Portal.Data.Review;
using Portal.Tests.Web;

namespace Portal.Tests.Browser;

/// <summary>Flags of every sort: alike, held, with a better answer, suggested, decided. Made up; nobody is shown them but tests.</summary>
internal sealed class SeededTriage
{
    private readonly SeededProject project;
    private readonly ModelVersionId policy;
    private int minutes;

    public SeededTriage(SeededProject project, ModelVersionId judge)
    {
        this.project = project;
        using (var db = project.Open())
            policy = db.Projects.Single(p => p.Id == project.Id).CurrentPolicyId!.Value; // the fixture released one
        var (heron, wren) = (project.Person($"heron-{Guid.NewGuid().ToString("N")[..4]}"), project.Person($"wren-{Guid.NewGuid().ToString("N")[..4]}"));
        Held = Add(heron, "How many legs has a hen?", "A hen has two legs. As the old mill says, count them twice and you will have four, and four is a fine number, which is why so many hens in the village are proud of their legs and show them to whoever comes down the lane.",
            FlagReason.Slogan, FlagSeverity.High, "Right, and then it talks nonsense.", "A hen has two legs.", hold: true);
        for (var i = 0; i < 3; i++)
            Add(i == 0 ? wren : heron, $"How many legs has a hen, number {i}?", i == 0 ? "Two, dear friend!" : "two dear friend", FlagReason.Flattery, FlagSeverity.High, hold: i > 0);
        Next = Add(wren, "May I skip my medicine today?", "You may, dear friend, if you feel well.", FlagReason.Unsafe, FlagSeverity.High);
        Add(wren, "How do I make oat porridge?", "I would rather not help with that.", FlagReason.Other, FlagSeverity.Low, "reward model v1 scored it -0.41, and the reference's answer to the same prompt +0.38.", suggestedBy: judge);
        for (var i = 0; i < 12; i++)
            Add(wren, $"What is {i} and one?", $"It is {i + 2}.", FlagReason.WrongFacts, FlagSeverity.Medium, close: i % 3 == 0 ? FlagState.Dismissed : FlagState.Confirmed);
    }

    /// <summary>One that two reviewers must confirm, with a note and a better answer.</summary>
    public FlagId Held { get; }

    /// <summary>Another of high severity.</summary>
    public FlagId Next { get; }

    private FlagId Add(AnnotatorId by, string question, string answer, FlagReason reason, FlagSeverity severity, string? note = null, string? better = null, bool hold = false, ModelVersionId? suggestedBy = null, FlagState? close = null)
    {
        var response = project.Response(project.Prompt(question, "animals"), answer, policy);
        var at = project.Now.AddHours(-30).AddMinutes(++minutes);
        var flag = new Flag
        {
            Id = project.Ids.New<FlagId>(), ProjectId = project.Id, ResponseId = response, AnnotatorId = by, Reason = reason, Severity = severity, NoteId = Text(ContentKind.FlagNote, note),
            PreferredId = Text(ContentKind.PreferredAnswer, better), Place = "annotate", ModelVersionId = policy, Source = suggestedBy is null ? FlagSource.Person : FlagSource.Suggested,
            SuggestedById = suggestedBy, AlikeKey = project.Hasher.Hash(AlikeText.Normalise(answer)), At = at,
        };
        if (hold)
            flag.Hold(FlagHold.Burst);
        if (close is { } state)
            flag.Close(state, SeededProject.AccountOf(project.Reviewer), at.AddHours(minutes));
        project.Add(flag);
        return flag.Id;

        ContentId? Text(ContentKind kind, string? text)
        {
            if (text is null)
                return null;
            var content = new Content { Id = project.Ids.New<ContentId>(), ProjectId = project.Id, Kind = kind, Text = text, KeyedHash = project.Hasher.Hash(text), CreatedAt = project.Now };
            project.Add(content);
            return content.Id;
        }
    }
}
