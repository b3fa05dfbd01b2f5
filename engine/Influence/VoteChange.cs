using Portal.Data.Unlearning;

namespace Portal.Engine.Influence;

/// <summary>What is done to pairs a head learned from.</summary>
/// <param name="Rows">Each once.</param>
public sealed record VoteChange(IReadOnlyList<int> Rows, UnlearningAction Action = UnlearningAction.Remove)
{
    /// <summary>The part of each row's votes it is done to, above 0 to 1; null for all of them.</summary>
    public IReadOnlyDictionary<int, double>? Shares { get; init; }

    /// <summary>Of some judgements: a pair that others judged alike keeps their votes as they are.</summary>
    /// <param name="judgements">Those without a row are left out.</param>
    public static VoteChange Of(PairFeatures pairs, IEnumerable<Guid> judgements, UnlearningAction action)
    {
        var shares = judgements.Distinct().Select(pairs.RowOf).OfType<int>().GroupBy(row => row).ToDictionary(group => group.Key, group => group.Count() / (double)pairs.Ids[group.Key].Count);
        return new VoteChange([.. shares.Keys.Order()], action) { Shares = shares };
    }

    /// <summary>The part of a row's votes it is done to.</summary>
    public double Share(int row) => Shares is null ? 1 : Shares[row];

    /// <summary>By how much less a pair pulls along Δφ afterwards, of votes w and w (1 − σ): its own pull where it goes, and w σ to the other side as well where it is turned round.</summary>
    internal double PullLost(int row, double votes, double pull) => Share(row) * Action switch
    {
        UnlearningAction.Remove => pull,
        UnlearningAction.Relabel => votes,
        UnlearningAction.DownWeight => (1 - PairStanding.LessWeight) * pull,
    };

    /// <summary>The share of a pair's votes that is lost to the sum of all.</summary>
    internal double VotesLost(int row) => Share(row) * Action switch { UnlearningAction.Remove => 1, UnlearningAction.Relabel => 0, UnlearningAction.DownWeight => 1 - PairStanding.LessWeight };
}
