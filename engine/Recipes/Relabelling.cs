using Portal.Data.Registry;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;

namespace Portal.Engine.Recipes;

/// <summary>
/// Pairs labelled anew by a reward model: the data of a policy that shall learn what this model prefers, on the very prompts and answers that people judged.
/// </summary>
/// <remarks>
/// Chosen becomes the answer with the higher reward, held-out pairs too. Equal rewards (equal texts among them) prefer neither: such pairs are left out and counted. Margins are dropped, since
/// they tell the strength of a vote that no longer counts; weights become 1 for the same reason. A pair that several people judged stays as many rows, all one way round now.
/// </remarks>
/// <param name="Split">The rows, in their order.</param>
/// <param name="Pairs">Rows there were.</param>
/// <param name="Turned">Rows whose order was people's the other way round.</param>
/// <param name="Ties">Rows left out.</param>
public sealed record Relabelling(TrainingSplit<PreferencePair> Split, int Pairs, int Turned, int Ties)
{
    /// <summary>Asks a reward model; each different answer to a prompt is read once.</summary>
    public static Relabelling By(RewardScorer scorer, TrainingSplit<PreferencePair> rows, CancellationToken stop)
    {
        var all = rows.Train.Concat(rows.HeldOut).ToList();
        var answers = all.SelectMany(row => new[] { (row.PromptKey, row.Prompt, Text: row.Chosen), (row.PromptKey, row.Prompt, Text: row.Rejected) })
            .DistinctBy(answer => (answer.PromptKey, answer.Text)).ToList();
        var rewards = scorer.Score([.. answers.Select(answer => (answer.Prompt, answer.Text))], stop);
        var of = answers.Zip(rewards).ToDictionary(scored => (scored.First.PromptKey, scored.First.Text), scored => scored.Second);
        return Of(rows, (row, text) => of[(row.PromptKey, text)]);
    }

    /// <summary>Labels anew by given rewards.</summary>
    /// <param name="reward">Of an answer to a row's prompt; finite.</param>
    /// <exception cref="CannotTrain">A reward is no number, or no pair is left to train on.</exception>
    public static Relabelling Of(TrainingSplit<PreferencePair> rows, Func<PreferencePair, string, double> reward)
    {
        var (turned, ties) = (0, 0);
        var split = new TrainingSplit<PreferencePair>([.. rows.Train.Select(Label).OfType<PreferencePair>()], [.. rows.HeldOut.Select(Label).OfType<PreferencePair>()]);
        var pairs = rows.Train.Count + rows.HeldOut.Count;
        return split.Train.Count == 0 && rows.Train.Count > 0
            ? throw new CannotTrain($"The reward model finds both answers equal in all {rows.Train.Count} pairs to train on, so there is nothing to learn from it.")
            : new Relabelling(split, pairs, turned, ties);

        PreferencePair? Label(PreferencePair row)
        {
            var (chosen, rejected) = (reward(row, row.Chosen), reward(row, row.Rejected));
            if (!double.IsFinite(chosen) || !double.IsFinite(rejected))
                throw new CannotTrain($"The reward model gives {chosen} and {rejected} to the answers of a pair; both must be numbers.");
            if (chosen == rejected)
            {
                ties++;
                return null;
            }
            turned += chosen < rejected ? 1 : 0;
            return row with { Chosen = chosen > rejected ? row.Chosen : row.Rejected, Rejected = chosen > rejected ? row.Rejected : row.Chosen, Margin = null, Weight = 1 };
        }
    }

    /// <summary>How much was changed, for the version's results: shares of all pairs.</summary>
    public IReadOnlyList<Measurement> Measured() =>
    [
        new(MetricNames.RelabelledTurned, "all pairs", Turned / (double)Math.Max(1, Pairs), null, null, Pairs),
        new(MetricNames.RelabelledTies, "all pairs", Ties / (double)Math.Max(1, Pairs), null, null, Pairs),
    ];
}
