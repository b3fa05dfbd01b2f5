using System.Globalization;
using System.Text;
using Portal.Engine.Statistics;

namespace Portal.Engine.Studies;

/// <summary>One line of a study: what was measured, for which seed, beside what it must reach.</summary>
/// <param name="Interval">95 %; null where the number needs none (a count).</param>
/// <param name="Target">What the study aims at; null for a control.</param>
public sealed record StudyRow(string Measure, long Seed, double Value, ConfidenceInterval? Interval, string? Target, bool? Reached)
{
    public static StudyRow Of(string measure, long seed, ConfidenceInterval interval, string? target = null, bool? reached = null) =>
        new(measure, seed, interval.Estimate, interval, target, reached);
}

/// <summary>
/// Writes a study's rows as the Markdown table that docs/evidence.md holds: one line a measure, one column a seed. An interval in a seed's column is that seed's own (over prompts); the one beside
/// the mean is Student's over seeds, from three of them on.
/// </summary>
public static class StudyTable
{
    public static string Markdown(string command, IReadOnlyList<StudyRow> rows)
    {
        var seeds = rows.Select(row => row.Seed).Distinct().Order().ToList();
        var text = new StringBuilder();
        text.Append("| measure | ").AppendJoin(" | ", seeds.Select(seed => $"seed {seed}")).Append(" | mean | target |\n|---|");
        text.AppendJoin("", seeds.Select(_ => "---|")).Append("---|---|\n");
        foreach (var measure in rows.GroupBy(row => row.Measure))
        {
            text.Append($"| {measure.Key} |");
            foreach (var seed in seeds)
                text.Append($" {(measure.FirstOrDefault(row => row.Seed == seed) is { } row ? Cell(row) : "–")} |");
            var target = measure.First().Target;
            var reached = measure.Any(row => row.Reached is not null) ? measure.All(row => row.Reached is not false) ? " (reached)" : " (missed)" : "";
            text.Append($" {Mean([.. measure.Select(row => row.Value)])} | {target}{(target is null ? "" : reached)} |\n");
        }
        text.Append($"\nCommand: `{command}`\n");
        return text.ToString();
    }

    private static string Cell(StudyRow row) =>
        row.Interval is { } interval ? $"{Number(row.Value)} [{Number(interval.Low)}, {Number(interval.High)}] n {interval.Count}" : Number(row.Value);

    private static string Mean(IReadOnlyList<double> values)
    {
        var mean = values.Average();
        if (values.Count < 3 || !values.All(double.IsFinite))
            return Number(mean);
        var half = StudentT.TwoSided(0.95, values.Count - 1) * SampleDeviation.Of(values) / Math.Sqrt(values.Count);
        return $"{Number(mean)} [{Number(mean - half)}, {Number(mean + half)}]";
    }

    private static string Number(double value) => value.ToString(Math.Abs(value) >= 100 || (double.IsInteger(value) && value > 1) ? "F0" : "F3", CultureInfo.InvariantCulture);
}
