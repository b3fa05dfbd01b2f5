using Portal.Data.Audits;
using Portal.Engine.Irl;
using Portal.Engine.Recipes;

namespace Portal.Engine.Audits;

/// <summary>An audit's texts as the methods of engine/Irl take them: features of pairs, repeats and candidates, each traceable to its texts.</summary>
/// <remarks>
/// Candidates of a test prompt are all its written completions, of both policies. Where a policy was asked once only there are none: one completion each says which differs, not which of several is better.
/// Prompts with the same text share one id here, so that a text in two parts is seen as the leak it is.
/// </remarks>
internal sealed class AuditData
{
    private readonly Dictionary<string, AuditPrompt> prompts;
    private readonly Dictionary<string, AuditText> texts;
    private readonly ILookup<AuditPart, IrlPair> parts;
    private readonly ITextFeatures read;
    private readonly IReadOnlyDictionary<string, float[]> features;

    private AuditData(Dictionary<string, AuditPrompt> prompts, Dictionary<string, AuditText> texts, IReadOnlyList<AuditPair> pairs, ITextFeatures read, IReadOnlyDictionary<string, float[]> features)
    {
        (this.prompts, this.texts, this.read, this.features) = (prompts, texts, read, features);
        Pairs = [.. pairs.OrderBy(pair => pair.Part)];
        Written = [.. texts.Values.Where(text => text.Status is CompletionStatus.Written)];
        parts = Pairs.ToLookup(pair => pair.Part, pair => new IrlPair(KeyOf(pair), features[pair.AuditedText], features[pair.BaseText], LogRatio(texts[pair.AuditedText], texts[pair.BaseText])));

        var byPrompt = Written.GroupBy(text => text.PromptId, StringComparer.Ordinal).ToArray();
        var paired = Pairs.Select(pair => pair.Id).ToHashSet(StringComparer.Ordinal);
        var asked = texts.Values.ToLookup(text => text.PromptId, StringComparer.Ordinal);
        var several = byPrompt.Where(prompt => asked[prompt.Key].Count() > 2).ToArray(); // more than one of each policy was asked for
        var tested = several.Where(prompt => prompt.First().Part is AuditPart.Test).ToArray();
        Candidates = [.. tested.Select(prompt => new PromptCandidates(prompts[prompt.Key].Key, [.. prompt.Select(text => features[text.Id])]))];
        CandidateTexts = [.. tested.SelectMany(prompt => prompt.Select(text => text.Id))];
        Repeats = [.. several.Where(prompt => prompt.First().Part is AuditPart.Train && paired.Contains(prompt.Key)).Select(prompt => new PromptRepeats(prompts[prompt.Key].Key, Side(prompt, AuditSide.Audited), Side(prompt, AuditSide.Base)))];

        IReadOnlyList<float[]> Side(IEnumerable<AuditText> own, AuditSide side) => [.. own.Where(text => text.Side == side).Select(text => features[text.Id])];
    }

    /// <summary>In the order of the parts: train, hold-out, test.</summary>
    public IReadOnlyList<AuditPair> Pairs { get; }

    /// <summary>All texts, in the order they were collected.</summary>
    public IReadOnlyList<AuditText> Written { get; }

    public IReadOnlyList<PromptCandidates> Candidates { get; }

    /// <summary>Ids of the candidates, in the order of their scores.</summary>
    public IReadOnlyList<string> CandidateTexts { get; }

    /// <summary>All completions of training prompts that were asked several times; empty where none was.</summary>
    public IReadOnlyList<PromptRepeats> Repeats { get; }

    /// <summary>Reads the features of all texts.</summary>
    public static AuditData Read(IReadOnlyList<AuditPrompt> prompts, IReadOnlyList<AuditText> texts, IReadOnlyList<AuditPair> pairs, ITextFeatures features, RecipeContext context)
    {
        var byId = prompts.ToDictionary(prompt => prompt.Id, StringComparer.Ordinal);
        var read = new Dictionary<string, float[]>(StringComparer.Ordinal);
        AuditText[] written = [.. texts.Where(text => text.Status is CompletionStatus.Written)];
        foreach (var text in written)
        {
            context.ThrowIfStopped();
            read[text.Id] = features.Read(byId[text.PromptId], text);
            context.Report(read.Count, written.Length, "reading features");
        }
        return new AuditData(byId, texts.ToDictionary(text => text.Id, StringComparer.Ordinal), pairs, features, read);
    }

    public IReadOnlyList<IrlPair> Of(AuditPart part) => [.. parts[part]];

    /// <summary>Ids of a part's pairs, in the order of <see cref="Of"/>.</summary>
    public IReadOnlyList<string> IdsOf(AuditPart part) => [.. Pairs.Where(pair => pair.Part == part).Select(pair => pair.Id)];

    public AuditPrompt PromptOf(AuditText text) => prompts[text.PromptId];

    /// <summary>What the rewards read of a written text. [d].</summary>
    public float[] FeaturesOf(AuditText text) => features[text.Id];

    /// <summary>What a pair's prompt has in common with prompts of the same text.</summary>
    public string KeyOf(AuditPair pair) => prompts[pair.Id].Key;

    /// <summary>Features of both texts of every pair; those that the rewards read are not read again.</summary>
    public (IReadOnlyList<double[]> Audited, IReadOnlyList<double[]> Base) Sides(ITextFeatures of)
    {
        return ([.. Pairs.Select(pair => Of(texts[pair.AuditedText]))], [.. Pairs.Select(pair => Of(texts[pair.BaseText]))]);

        double[] Of(AuditText text) => [.. (ReferenceEquals(of, read) ? features[text.Id] : of.Read(PromptOf(text), text)).Select(value => (double)value)];
    }

    /// <summary>Differences of a score between the two texts of a part's pairs.</summary>
    public double[] MarginsOf(AuditPart part, IReadOnlyDictionary<string, double> scores) => [.. Pairs.Where(pair => pair.Part == part).Select(pair => scores[pair.AuditedText] - scores[pair.BaseText])];

    private static double? LogRatio(AuditText audited, AuditText other) => audited is { LogProbAudited: { } a, LogProbBase: { } b } && other is { LogProbAudited: { } c, LogProbBase: { } d } ? a - b - (c - d) : null;
}
