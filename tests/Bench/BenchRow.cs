using System.Globalization;
using System.Text.Json.Nodes;

namespace Portal.Bench;

/// <summary>One line of a bench's table and one entry of its JSON.</summary>
public sealed record BenchRow
{
    public required string Name { get; init; }

    /// <summary>The median of ours, in <see cref="Unit"/>.</summary>
    public required double Ours { get; init; }

    /// <summary>The median of the peer (PyTorch, or the idle portal); null where there is nothing to compare with.</summary>
    public double? Peer { get; init; }

    public required string Unit { get; init; }

    /// <summary>The ratios of pairs; null where there is no peer.</summary>
    public PairedRatios? Ratios { get; init; }

    /// <summary>What the median ratio must reach; null where nothing is asked.</summary>
    public double? Target { get; init; }

    /// <summary>What ours may be at most, in <see cref="Unit"/>, where there is no peer to compare with; null where nothing of the kind is asked.</summary>
    public double? Limit { get; init; }

    /// <summary>True where a smaller ratio is better (latencies): the target is then the highest allowed.</summary>
    public bool LowerIsBetter { get; init; }

    /// <summary>Lowest and highest of our runs; null where runs are not judged one by one.</summary>
    public (double Low, double High)? Range { get; init; }

    /// <summary>Why the row is invalid; null when it is not.</summary>
    public string? Invalid { get; init; }

    /// <summary>What may be claimed; null where nothing is asked.</summary>
    public Verdict? Verdict => (Target, Ratios) switch
    {
        _ when Invalid is not null => Bench.Verdict.Invalid,
        _ when Limit is { } limit => Ours <= limit ? Bench.Verdict.Ok : Bench.Verdict.Missed,
        ({ } target, { } ratios) => LowerIsBetter ? ratios.AtMost(target) : ratios.AtLeast(target),
        _ => null,
    };
}

/// <summary>Writes rows down: a Markdown table for people, <c>{name: {ours, peer, unit, ratio, spread, target, ok}}</c> for programs.</summary>
public static class BenchReport
{
    /// <summary>
    /// The JSON of some rows. <c>ok</c> is true, false, "inconclusive" or "invalid", and null where nothing is asked; <c>tries</c> holds every
    /// ratio measured.
    /// </summary>
    public static JsonObject Json(IEnumerable<BenchRow> rows)
    {
        var json = new JsonObject();
        foreach (var row in rows)
        {
            json[row.Name] = new JsonObject
            {
                ["ours"] = Number(row.Ours), ["peer"] = Number(row.Peer), ["unit"] = row.Unit, ["ratio"] = Number(row.Ratios?.Median),
                ["spread"] = Number(row.Ratios?.Spread), ["target"] = Number(row.Target ?? row.Limit), ["ok"] = row.Verdict is { } verdict ? Ok(verdict) : null,
                ["better"] = row.LowerIsBetter || row.Limit is not null ? "lower" : "higher", ["invalid"] = row.Invalid,
                ["range"] = row.Range is { } range ? new JsonArray(Number(range.Low), Number(range.High)) : null,
                ["tries"] = new JsonArray([.. (row.Ratios?.Tries ?? []).Select(pairs => (JsonNode)new JsonArray([.. pairs.Select(Number)]))]),
            };
        }
        return json;
    }

    /// <summary>The table, and under it every try of the rows that were tried more than once and the reason of every invalid one.</summary>
    /// <param name="peer">The head of the peer's column.</param>
    public static string Markdown(IReadOnlyList<BenchRow> rows, string peer)
    {
        var lines = new List<string>
        {
            $"| case | ours | {peer} | unit | ratio | spread | pairs | range | target | verdict |",
            "|---|---:|---:|---|---:|---:|---:|---:|---:|---|",
        };
        lines.AddRange(rows.Select(row => $"| {row.Name} | {Short(row.Ours)} | {Short(row.Peer)} | {row.Unit} | {Fixed(row.Ratios?.Median, "F3")} | {Fixed(row.Ratios?.Spread, "P1")} "
            + $"| {row.Ratios?.Pooled.Count.ToString(CultureInfo.InvariantCulture) ?? "—"} | {(row.Range is { } range ? $"{Short(range.Low)}–{Short(range.High)}" : "—")} "
            + $"| {(row.Target is { } target ? $"{(row.LowerIsBetter ? "≤" : "≥")} {target.ToString("0.##", CultureInfo.InvariantCulture)}" : row.Limit is { } limit ? $"≤ {Short(limit)} {row.Unit}" : "—")} | {(row.Verdict is { } verdict ? Word(verdict) : "—")} |"));
        foreach (var row in rows.Where(row => row.Ratios?.Tries.Count > 1))
            lines.Add($"\n{row.Name}, tries: " + string.Join("; ", row.Ratios!.Tries.Select(pairs => new PairedRatios([pairs])).Select((one, i) => // filtered just before
                $"{i + 1}: {Fixed(one.Median, "F3")}, spread {Fixed(one.Spread, "P1")}, {one.Pooled.Count} pairs")));
        foreach (var row in rows.Where(row => row.Invalid is not null))
            lines.Add($"\n{row.Name} is invalid: {row.Invalid}");
        return string.Join('\n', lines);
    }

    private static string Word(Verdict verdict) => verdict switch
    {
        Verdict.Ok => "ok",
        Verdict.Missed => "missed",
        Verdict.Inconclusive => "inconclusive",
        Verdict.Invalid => "invalid",
    };

    private static JsonNode Ok(Verdict verdict) => verdict switch
    {
        Verdict.Ok => true,
        Verdict.Missed => false,
        Verdict.Inconclusive or Verdict.Invalid => Word(verdict),
    };

    // JSON knows no NaN.
    private static JsonNode? Number(double? value) => value is { } number && double.IsFinite(number) ? JsonValue.Create(number) : null;

    private static JsonNode? Number(double value) => Number((double?)value);

    private static string Fixed(double? value, string format) =>
        value is { } number && double.IsFinite(number) ? number.ToString(format, CultureInfo.InvariantCulture) : "—";

    private static string Short(double? value) => value switch
    {
        { } number when double.IsFinite(number) => number.ToString(Math.Abs(number) >= 100 ? "N0" : Math.Abs(number) >= 10 ? "F1" : "F2", CultureInfo.InvariantCulture),
        _ => "—",
    };
}
