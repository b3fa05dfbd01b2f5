using Portal.Data.SaeFeatures;
using Portal.Engine.Statistics;

namespace Portal.Engine.Sae;

/// <summary>A stretch of a response that labels are made from or tested on.</summary>
/// <param name="Response">Number of the response.</param>
/// <param name="Fires">Whether the feature fires there; among stretches of one text whether it is the strongest.</param>
public readonly record struct LabelContext(int Response, int Start, int Length, bool Fires);

/// <summary>What the labels of one feature are tested on (or made from).</summary>
/// <param name="Contexts">Where the feature fires, and where it does not: half of those near misses.</param>
/// <param name="Stretches">Sentences of responses in which it fires: the strongest of each, and those in which it is less than half as strong.</param>
public sealed record LabelContexts(ContextPosition Position, IReadOnlyList<LabelContext> Contexts, IReadOnlyList<LabelContext> Stretches)
{
    public static LabelContexts None { get; } = new(ContextPosition.End, [], []);
}

/// <summary>Draws contexts for labels, of discovery prompts or of test prompts.</summary>
/// <remarks>
/// Hard negatives are places where a feature nearby fires (its direction, or its company) and this one does not: telling a feature from any other text is easy and proves little.
/// Of equal texts one is drawn. A context is read at the ends of responses (whole responses, where the reward is) if the feature fires at enough of them, else at sentence ends.
/// </remarks>
public sealed class LabelContextPicker
{
    /// <summary>Contexts in which it fires, and as many in which it does not.</summary>
    public const int EachMax = 60;

    /// <summary>Places of a neighbour looked at.</summary>
    private const int LooksMax = 1_000;

    private readonly FeatureFirings firings;
    private readonly FeaturePostings postings;
    private readonly bool[] isTest;
    private readonly Dictionary<(ContextPosition, bool), int[]> pools;
    private readonly int[][] placesOf;
    private readonly ulong seed;

    /// <param name="isTest">For each response whether its prompt tests.</param>
    public LabelContextPicker(FeatureFirings firings, FeaturePostings postings, bool[] isTest, long seed)
    {
        (this.firings, this.postings, this.isTest, this.seed) = (firings, postings, isTest, (ulong)seed);
        pools = Enumerable.Range(0, firings.Places.Count).GroupBy(place => (firings.Places[place].Position, isTest[firings.Places[place].Response]))
            .ToDictionary(pool => pool.Key, pool => pool.ToArray());
        placesOf = [.. Enumerable.Range(0, firings.Places.Count).GroupBy(place => firings.Places[place].Response).OrderBy(own => own.Key).Select(own => own.ToArray())];
    }

    /// <summary>The kind of position at which a feature is labelled: ends where it fires at enough discovery ends with different texts.</summary>
    public ContextPosition PositionOf(int latent) =>
        Firing(latent, ContextPosition.End, ofTest: false).Select(place => firings.Places[place].TextHash).Distinct().Take(FeatureLabelling.DiscoveryMin).Count() >= FeatureLabelling.DiscoveryMin
            ? ContextPosition.End : ContextPosition.Sentence;

    /// <summary>Draws for a feature; the same for the same data and seed.</summary>
    /// <param name="related">Latents nearby, for hard negatives.</param>
    public LabelContexts Pick(int latent, ContextPosition position, IEnumerable<int> related, bool ofTest)
    {
        var order = new SeededRandom(seed).Split(ofTest ? "held-out contexts" : "discovery contexts").Split(latent);
        var salt = order.NextBits();
        var fires = Firing(latent, position, ofTest).ToHashSet();
        if (fires.Count == 0)
            return LabelContexts.None with { Position = position };
        var seen = new HashSet<ulong>();
        var positives = Drawn(fires, salt, EachMax, seen).ToList();
        var hard = related.SelectMany(other => Firing(other, position, ofTest).Take(LooksMax)).Where(place => !fires.Contains(place)).Distinct();
        var negatives = Drawn(hard, salt, EachMax / 2, seen).ToList();
        var pool = pools.GetValueOrDefault((position, ofTest), []);
        for (var looks = 0; looks < 10 * EachMax && negatives.Count < EachMax; looks++)
        {
            var place = order.Pick(pool);
            if (!fires.Contains(place) && seen.Add(firings.Places[place].TextHash))
                negatives.Add(place);
        }
        return new LabelContexts(position, [.. positives.Select(place => ContextOf(place, true)), .. negatives.Select(place => ContextOf(place, false))], Stretches(latent, ofTest, salt));
    }

    private List<int> Firing(int latent, ContextPosition position, bool ofTest)
    {
        var found = new List<int>();
        var places = postings.PlacesOf(latent);
        var values = postings.ValuesOf(latent);
        for (var i = 0; i < places.Length; i++)
        {
            if (values[i] > 0 && firings.Places[places[i]] is var place && place.Position == position && isTest[place.Response] == ofTest)
                found.Add(places[i]);
        }
        return found;
    }

    private IEnumerable<int> Drawn(IEnumerable<int> places, ulong salt, int count, HashSet<ulong> seen) => places
        .OrderBy(place => FeatureContextPicker.Draw(firings.Places[place].TextHash, salt)).ThenBy(place => place)
        .Where(place => seen.Add(firings.Places[place].TextHash)).Take(count);

    private List<LabelContext> Stretches(int latent, bool ofTest, ulong salt)
    {
        var strength = new Dictionary<int, float>();
        var places = postings.PlacesOf(latent);
        var values = postings.ValuesOf(latent);
        for (var i = 0; i < places.Length; i++)
            strength[places[i]] = values[i];
        var stretches = new List<LabelContext>();
        var texts = Firing(latent, ContextPosition.Sentence, ofTest).Select(place => firings.Places[place].Response).Distinct()
            .OrderBy(response => FeatureContextPicker.Draw((ulong)response, salt)).Take(EachMax);
        foreach (var response in texts)
        {
            var sentences = placesOf[response].Where(place => firings.Places[place].Position is ContextPosition.Sentence).ToList();
            var strongest = sentences.OrderByDescending(place => strength.GetValueOrDefault(place)).ThenBy(place => place).First();
            var weak = sentences.Where(place => strength.GetValueOrDefault(place) < strength[strongest] / 2).ToList();
            if (weak.Count == 0)
                continue; // nothing to tell it from
            stretches.Add(ContextOf(strongest, true));
            stretches.AddRange(weak.Select(place => ContextOf(place, false)));
        }
        return stretches;
    }

    private LabelContext ContextOf(int place, bool fires) => new(firings.Places[place].Response, firings.Places[place].Start, firings.Places[place].Length, fires);
}
