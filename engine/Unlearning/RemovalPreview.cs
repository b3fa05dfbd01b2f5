using System.Diagnostics;
using Portal.Data;
using Portal.Data.Serving;
using Portal.Data.Unlearning;
using Portal.Engine.Influence;

namespace Portal.Engine.Unlearning;

/// <summary>
/// Says what a head would do without some pairs, before anybody asks for it: one Newton step from kept sums (<see cref="PairInfluence.NewtonWithout"/>) and a pass over the rows, well below a second.
/// </summary>
/// <remarks>Source: specs/xrlhf.md §6.1. Margins before are those of the same head at its optimum, so that what changes is the pairs and nothing else.</remarks>
public static class RemovalPreview
{
    /// <param name="asked">Judgements it would be about.</param>
    /// <exception cref="ArgumentException">None of them has a row, or no pair would be left.</exception>
    public static RemovalPreviewResponse Measure(string model, PairFeatures pairs, PairHead head, PairInfluence influence, IReadOnlyList<Guid> asked, UnlearningAction action = UnlearningAction.Remove)
    {
        var started = Stopwatch.GetTimestamp();
        var change = VoteChange.Of(pairs, asked, action);
        var gone = change.Rows;
        if (gone.Count == 0)
            throw new ArgumentException("None of these judgements was trained on.", nameof(asked));
        var (before, after) = (influence.Margins, head.Margins(influence.NewtonWithout(change)));
        var near = ForgettingMeasure.Nearest(head, [.. gone]);
        var isGone = gone.ToHashSet();
        List<int> kept = [.. Enumerable.Range(0, before.Length).Where(row => head.Counts[row] > 0 && !isGone.Contains(row))];
        return new RemovalPreviewResponse(model, asked.Distinct().Count(id => pairs.RowOf(id) is not null), pairs.Ids.Sum(ids => ids.Count), asked.Count(id => pairs.RowOf(id) is null), Mean(gone), Ordered(near), Ordered(kept), near.Length,
            [.. kept.OrderBy(row => after[row] - before[row]).ThenBy(row => row).Take(RemovalPreviewResponse.MostListed).Where(row => after[row] < before[row]).Select(row => new MarginChange(JudgementId.From(pairs.Ids[row][0]), before[row], after[row]))],
            Stopwatch.GetElapsedTime(started).TotalMilliseconds);

        BeforeAfter Mean(IReadOnlyList<int> rows) => new(rows.Average(row => before[row]), rows.Average(row => after[row]));
        BeforeAfter Ordered(IReadOnlyList<int> rows) => new(ForgettingReport.Accuracy([.. rows.Select(row => before[row])]), ForgettingReport.Accuracy([.. rows.Select(row => after[row])]));
    }
}
