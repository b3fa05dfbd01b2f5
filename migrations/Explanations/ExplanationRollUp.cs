namespace Portal.Data.Explanations;

/// <summary>One explanation as roll-ups see it.</summary>
/// <param name="Prompt">Equal for equal prompts.</param>
/// <param name="Pairs">Rows with what they weigh; weights below 0 count as none.</param>
public sealed record WeighedPairs(string Prompt, IReadOnlyList<(int Row, double Weight)> Pairs);

/// <summary>How much of some explanations comes from one group of judgements: an annotator, a source, a topic.</summary>
/// <param name="Key">The group.</param>
/// <param name="Weight">Its share of all weight, 0 to 1.</param>
/// <param name="DataShare">Its share of the judgements: what its weight would be if explanations took pairs as they come.</param>
/// <param name="Judgements">Its judgements among those trained on.</param>
/// <param name="Explanations">Explanations with weight of it.</param>
public sealed record GroupWeight(string Key, double Weight, double DataShare, int Judgements, int Explanations)
{
    /// <inheritdoc cref="ExplanationRules.Excess"/>
    public double? Excess => ExplanationRules.Excess(Weight, DataShare, Judgements);
}

/// <summary>A pair that explains nearly everything explains nothing in particular.</summary>
/// <param name="Row">Of the store.</param>
/// <param name="Prompts">Distinct prompts whose first pair it is.</param>
/// <param name="Share">Of all distinct prompts.</param>
public sealed record HubPair(int Row, int Prompts, double Share);

/// <summary>What many explanations have in common. Each explanation counts alike, however many pairs it has. Source: specs/xrlhf.md §1.8, §5.2.</summary>
public static class ExplanationRollUp
{
    /// <summary>Weights by group, the largest first; equal ones by key.</summary>
    /// <param name="groupsOfRow">The group of each judgement of a row: a merged row's weight is divided among them.</param>
    public static IReadOnlyList<GroupWeight> By(IReadOnlyList<WeighedPairs> explanations, IReadOnlyList<IReadOnlyList<string>> groupsOfRow) =>
        By(explanations, row => groupsOfRow[row], groupsOfRow.SelectMany(groups => groups).CountBy(key => key).ToDictionary());

    /// <inheritdoc cref="By(IReadOnlyList{WeighedPairs}, IReadOnlyList{IReadOnlyList{string}})"/>
    /// <param name="groupsOfRow">Asked of rows that explain something only.</param>
    /// <param name="judgements">Of each group, among all that were trained on.</param>
    public static IReadOnlyList<GroupWeight> By(IReadOnlyList<WeighedPairs> explanations, Func<int, IReadOnlyList<string>> groupsOfRow, IReadOnlyDictionary<string, int> judgements)
    {
        var total = judgements.Values.Sum();
        var (weights, seen, counted) = (new Dictionary<string, double>(StringComparer.Ordinal), new Dictionary<string, int>(StringComparer.Ordinal), 0);
        foreach (var explanation in explanations)
        {
            var sum = explanation.Pairs.Sum(pair => Math.Max(0, pair.Weight));
            if (sum <= 0)
                continue;
            counted++;
            var own = new HashSet<string>(StringComparer.Ordinal);
            foreach (var (row, weight) in explanation.Pairs.Where(pair => pair.Weight > 0))
            {
                var groups = groupsOfRow(row);
                foreach (var key in groups)
                {
                    weights[key] = weights.GetValueOrDefault(key) + weight / sum / groups.Count;
                    own.Add(key);
                }
            }
            foreach (var key in own)
                seen[key] = seen.GetValueOrDefault(key) + 1;
        }
        return
        [
            .. weights.Select(entry => new GroupWeight(entry.Key, entry.Value / counted, (double)judgements[entry.Key] / total, judgements[entry.Key], seen[entry.Key]))
                .OrderByDescending(group => group.Weight).ThenBy(group => group.Key, StringComparer.Ordinal),
        ];
    }

    /// <summary>Pairs that come first for more than <see cref="ExplanationRules.HubShare"/> of the distinct prompts; none where there are too few prompts to say.</summary>
    public static IReadOnlyList<HubPair> Hubs(IReadOnlyList<WeighedPairs> explanations)
    {
        var prompts = explanations.Select(explanation => explanation.Prompt).Distinct(StringComparer.Ordinal).Count();
        if (prompts < ExplanationRules.HubPromptsMin)
            return [];
        return
        [
            .. explanations.Where(explanation => explanation.Pairs.Count > 0).Select(explanation => (explanation.Prompt, explanation.Pairs.MaxBy(pair => pair.Weight).Row)).Distinct()
                .CountBy(first => first.Row).Select(entry => new HubPair(entry.Key, entry.Value, (double)entry.Value / prompts)).Where(hub => hub.Share > ExplanationRules.HubShare)
                .OrderByDescending(hub => hub.Prompts).ThenBy(hub => hub.Row),
        ];
    }
}
