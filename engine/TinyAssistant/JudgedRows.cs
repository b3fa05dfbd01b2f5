namespace Portal.Engine.TinyAssistant;

/// <summary>A response that was sampled for a prompt. Equal texts for one prompt are one response.</summary>
/// <remarks>The id is 12 hexadecimal digits made from prompt id and text.</remarks>
public sealed record WorldResponse(string Id, string PromptId, string Text)
{
    internal static WorldResponse Of(WorldPrompt prompt, string text) => new(ChatText.ContentId("response", prompt.Id, text), prompt.Id, text);
}

/// <summary>One simulated pairwise judgement. Ids are stored, and which response stood on which side.</summary>
public sealed record SimulatedPairJudgement
{
    /// <summary>12 hexadecimal digits made from both responses and the annotator.</summary>
    public required string Id { get; init; }
    public required string PromptId { get; init; }
    public required string LeftResponseId { get; init; }
    public required string RightResponseId { get; init; }
    public required string Annotator { get; init; }
    public required PairVerdict Verdict { get; init; }
    /// <summary>Set with <see cref="PairVerdict.Prefers"/> only.</summary>
    public required string? PreferredResponseId { get; init; }
    /// <summary>1 to 3; 0 without a preference.</summary>
    public required int Strength { get; init; }
    public required double Seconds { get; init; }
    public required DateTimeOffset At { get; init; }

    internal string ToLine() => CorpusJson.WriteObject(json =>
    {
        json.WriteString("id", Id);
        json.WriteString("prompt", PromptId);
        json.WriteString("left", LeftResponseId);
        json.WriteString("right", RightResponseId);
        json.WriteString("annotator", Annotator);
        json.WriteString("verdict", Verdict.ToString());
        json.WriteString("preferred", PreferredResponseId);
        json.WriteNumber("strength", Strength);
        json.WriteNumber("seconds", Seconds);
        json.WriteString("at", At);
        json.WriteBoolean("synthetic", true);
    });
}

/// <summary>One simulated binary judgement.</summary>
public sealed record SimulatedBinaryJudgement
{
    public required string Id { get; init; }
    public required string PromptId { get; init; }
    public required string ResponseId { get; init; }
    public required string Annotator { get; init; }
    public required bool IsGood { get; init; }
    public required double Seconds { get; init; }
    public required DateTimeOffset At { get; init; }

    internal string ToLine() => CorpusJson.WriteObject(json =>
    {
        json.WriteString("id", Id);
        json.WriteString("prompt", PromptId);
        json.WriteString("response", ResponseId);
        json.WriteString("annotator", Annotator);
        json.WriteString("verdict", IsGood ? "Good" : "Bad");
        json.WriteNumber("seconds", Seconds);
        json.WriteString("at", At);
        json.WriteBoolean("synthetic", true);
    });
}

/// <summary>What is true about a judgement and nobody may train on: kept in the sealed file only.</summary>
/// <remarks>The cause is "C0" to "C4" where the judgement is planted, else null; truths are r* of both responses.</remarks>
public sealed record SealedJudgement(string JudgementId, bool IsPlanted, string? CauseId, double LeftTruth, double RightTruth)
{
    internal string ToLine() => CorpusJson.WriteObject(json =>
    {
        json.WriteString("judgement", JudgementId);
        json.WriteBoolean("isPlanted", IsPlanted);
        json.WriteString("causeId", CauseId);
        json.WriteNumber("leftTruth", LeftTruth);
        json.WriteNumber("rightTruth", RightTruth);
    });
}
