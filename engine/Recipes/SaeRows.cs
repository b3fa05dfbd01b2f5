using Portal.Engine.Sae;
using Portal.Engine.Statistics;

namespace Portal.Engine.Recipes;

/// <summary>
/// Which vectors form which training batch of an SAE: so many ends of responses, the rest ends of sentences, each kind in a random order that begins
/// anew when it is through. A pure function of seed and step, so that a resumed run sees the same.
/// </summary>
public sealed class SaeRows
{
    private readonly Drawn ends, sentences;
    private readonly int endsEach, sentencesEach;

    /// <param name="places">Of all vectors.</param>
    /// <param name="rows">Those to train on.</param>
    /// <param name="endShare">Share of a batch read at the end of a response, 0 to 1.</param>
    /// <exception cref="CannotTrain">A kind that is wanted has no vector.</exception>
    public SaeRows(IReadOnlyList<ActivationPlace> places, IReadOnlyList<int> rows, double endShare, int batch, long seed)
    {
        var random = new SeededRandom((ulong)seed).Split("sae rows");
        endsEach = (int)Math.Round(batch * endShare);
        sentencesEach = batch - endsEach;
        ends = new Drawn([.. rows.Where(row => places[row].Position is SaePosition.ResponseEnd)], random.Split("ends"));
        sentences = new Drawn([.. rows.Where(row => places[row].Position is SaePosition.SentenceEnd)], random.Split("sentences"));
        if (endsEach > 0 && ends.Count == 0)
            throw new CannotTrain("No text ends: there is nothing to read at the end of a response.");
        if (sentencesEach > 0 && sentences.Count == 0)
            throw new CannotTrain("No response has a sentence that ends in punctuation; set the share of response ends to 1, or give other texts.");
    }

    /// <summary>The rows of a step, 0-based.</summary>
    public IReadOnlyList<int> Of(int step) => [.. ends.Of((long)step * endsEach, endsEach), .. sentences.Of((long)step * sentencesEach, sentencesEach)];

    private sealed class Drawn(int[] rows, SeededRandom random)
    {
        private (long Pass, int[] Order) current = (-1, []);

        public int Count => rows.Length;

        public IEnumerable<int> Of(long from, int count)
        {
            for (var at = from; at < from + count; at++)
                yield return Order(at / rows.Length)[at % rows.Length];
        }

        private int[] Order(long pass)
        {
            if (current.Pass == pass)
                return current.Order;
            var order = (int[])rows.Clone();
            random.Split(pass).Shuffle(order);
            current = (pass, order);
            return order;
        }
    }
}
