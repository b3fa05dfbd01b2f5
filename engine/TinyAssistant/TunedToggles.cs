using Portal.Engine.Sae;
using Portal.Engine.Statistics;

namespace Portal.Engine.TinyAssistant;

/// <summary>
/// Multipliers of a few features, learnt from a few votes: which features, by what the votes prefer beyond the reward as it stands; how far, by a logistic regression on the multipliers
/// that is pulled towards 1.
/// <code>maximise  mean ln σ(Δr + Σ_k (m_k − 1) w_k Δz_k) − (λ/2) Σ_k (m_k − 1)²</code>
/// </summary>
/// <param name="Multipliers">By latent; all others stay at 1.</param>
/// <param name="Ridge">λ that was chosen.</param>
internal sealed record TunedToggles(IReadOnlyDictionary<int, double> Multipliers, double Ridge)
{
    private static readonly int[] counts = [0, 1, 2, 4, 8, 16, 32];
    private static readonly double[] ridges = [0.01, 0.03, 0.1, 0.3, 1];
    private const int Folds = 5;

    /// <summary>Of so few votes none is left to ask for ten pairs that differ in a feature.</summary>
    private const int SupportMin = 3;

    private const int Permutations = 400;

    /// <summary>Tunes on some votes. How many features and which λ: whatever predicts votes of prompts left out best, in five folds by prompt, the selection repeated in each.</summary>
    /// <param name="weights">w of the head as it stands. [M].</param>
    /// <param name="codes">Of both sides of the votes.</param>
    /// <param name="votes">The preferred response first.</param>
    public static TunedToggles Of(IReadOnlyList<float> weights, IReadOnlyList<SparseVector> codes, IReadOnlyList<ContrastPair> votes, long seed, CancellationToken stop)
    {
        List<string> prompts = [.. votes.Select(vote => vote.Group).Distinct()];
        var foldOf = prompts.Select((prompt, i) => (prompt, i)).ToDictionary(entry => entry.prompt, entry => entry.i % Folds, StringComparer.Ordinal);
        var losses = new Dictionary<(int Count, double Ridge), double>();
        for (var fold = 0; fold < Math.Min(Folds, prompts.Count); fold++)
        {
            List<ContrastPair> learn = [.. votes.Where(vote => foldOf[vote.Group] != fold)], left = [.. votes.Where(vote => foldOf[vote.Group] == fold)];
            if (learn.Count == 0)
                continue;
            var ranked = Rank(weights, codes, learn, seed, stop);
            foreach (var count in counts)
            {
                foreach (var ridge in ridges)
                    losses[(count, ridge)] = losses.GetValueOrDefault((count, ridge)) + Loss(weights, codes, left, Fit(weights, codes, learn, ranked.Take(count), ridge, stop));
            }
        }
        var (best, lambda) = losses.Count == 0 ? (0, 1) : losses.OrderBy(entry => entry.Value).ThenBy(entry => entry.Key.Count).ThenByDescending(entry => entry.Key.Ridge).First().Key;
        return new TunedToggles(Fit(weights, codes, votes, Rank(weights, codes, votes, seed, stop).Take(best), lambda, stop), lambda);
    }

    /// <summary>Weights of a whole head learnt from the votes alone and pulled towards the head as it stands: the free competitor, with λ chosen in the same way.</summary>
    /// <returns>w. [M].</returns>
    public static double[] WholeHead(IReadOnlyList<float> weights, IReadOnlyList<SparseVector> codes, IReadOnlyList<ContrastPair> votes, CancellationToken stop)
    {
        List<string> prompts = [.. votes.Select(vote => vote.Group).Distinct()];
        var foldOf = prompts.Select((prompt, i) => (prompt, i)).ToDictionary(entry => entry.prompt, entry => entry.i % Folds, StringComparer.Ordinal);
        double[] Learn(IReadOnlyList<ContrastPair> learn, double ridge)
        {
            SparseVector[] differences = [.. learn.Select(vote => codes[vote.Chosen].Minus(codes[vote.Rejected]))];
            var change = LogisticRegression.Fit(differences, [.. learn.Select(_ => true)], weights.Count, ridge, intercept: false, stop, offsets: [.. learn.Select(vote => Gap(weights, codes, vote, null))]).Weights;
            return [.. change.Zip(weights, (delta, weight) => weight + delta)];
        }
        var ridge = ridges.MinBy(ridge => Enumerable.Range(0, Math.Min(Folds, prompts.Count)).Sum(fold =>
        {
            var learnt = Learn([.. votes.Where(vote => foldOf[vote.Group] != fold)], ridge);
            return votes.Where(vote => foldOf[vote.Group] == fold).Sum(vote => Surprise(codes[vote.Chosen].Dot(learnt) - codes[vote.Rejected].Dot(learnt)));
        }));
        return Learn(votes, ridge);
    }

    /// <summary>Features by how surely the votes like or dislike them at equal reward; the reward must count them, or no multiplier changes anything.</summary>
    private static List<int> Rank(IReadOnlyList<float> weights, IReadOnlyList<SparseVector> codes, IReadOnlyList<ContrastPair> votes, long seed, CancellationToken stop) =>
        [.. FeatureSelection.Score(codes, votes, [.. codes.Select(code => ReadableReward.Reward(code, weights))], weights.Count, new FeatureSelectionOptions { SupportMin = SupportMin, Permutations = Permutations, Seed = seed }, stop)
            .Where(score => score.ResidualScore is not null && weights[score.Latent] != 0)
            .OrderBy(score => score.ResidualP).ThenByDescending(score => Math.Abs(score.ResidualScore!.Value)).ThenBy(score => score.Latent).Select(score => score.Latent)]; // filtered above

    private static Dictionary<int, double> Fit(IReadOnlyList<float> weights, IReadOnlyList<SparseVector> codes, IReadOnlyList<ContrastPair> votes, IEnumerable<int> features, double ridge, CancellationToken stop)
    {
        int[] latents = [.. features];
        if (latents.Length == 0)
            return [];
        int[] all = [.. Enumerable.Range(0, latents.Length)];
        SparseVector[] parts = [.. votes.Select(vote =>
        {
            var difference = codes[vote.Chosen].Minus(codes[vote.Rejected]);
            return new SparseVector(all, [.. latents.Select(latent => Array.BinarySearch(difference.Indices, latent) is >= 0 and var at ? weights[latent] * difference.Values[at] : 0)]);
        })];
        var fitted = LogisticRegression.Fit(parts, [.. votes.Select(_ => true)], latents.Length, ridge, intercept: false, stop, offsets: [.. votes.Select(vote => Gap(weights, codes, vote, null))]);
        return latents.Zip(fitted.Weights).ToDictionary(entry => entry.First, entry => 1 + entry.Second);
    }

    private static double Loss(IReadOnlyList<float> weights, IReadOnlyList<SparseVector> codes, IReadOnlyList<ContrastPair> votes, IReadOnlyDictionary<int, double> multipliers) =>
        votes.Sum(vote => Surprise(Gap(weights, codes, vote, multipliers)));

    private static double Gap(IReadOnlyList<float> weights, IReadOnlyList<SparseVector> codes, ContrastPair vote, IReadOnlyDictionary<int, double>? multipliers) =>
        ReadableReward.Reward(codes[vote.Chosen], weights, multipliers) - ReadableReward.Reward(codes[vote.Rejected], weights, multipliers);

    /// <summary>−ln σ(gap), nats.</summary>
    private static double Surprise(double gap) => Math.Max(-gap, 0) + double.LogP1(Math.Exp(-Math.Abs(gap)));
}
