using System.Text.Json.Nodes;
using Portal.Bench;
using Portal.Data;
using Xunit;

namespace Portal.Tests.Bench;

/// <summary>What a bench may print: the rules that make a row worthless, and the shape that other programs read.</summary>
public sealed class BenchRowsTests
{
    private static readonly Hello Ours = new(10.4321, [10.4301], [5, 9, 9, 2], 2048, "1.13.0", 2);
    private static readonly PairedRatios Nine = new([[.. Enumerable.Repeat(1.0, 9)]]);

    [Fact]
    public void Sides_that_compute_the_same_agree()
    {
        Assert.Null(Hello.Disagreement(Ours, Ours with { FirstLoss = Ours.FirstLoss + 0.99e-4, Library = "2.0" }));
    }

    [Theory]
    [InlineData("first losses")]
    [InlineData("loss 2")]
    [InlineData("further losses")]
    [InlineData("greedy tokens")]
    [InlineData("threads")]
    [InlineData("tokens on")]
    [InlineData("no number")]
    public void Sides_that_compute_something_else_make_the_row_invalid(string what)
    {
        var peer = what switch
        {
            "first losses" => Ours with { FirstLoss = Ours.FirstLoss + 1.01e-4 },
            "loss 2" => Ours with { MoreLosses = [10.4303] },
            "further losses" => Ours with { MoreLosses = [] },
            "greedy tokens" => Ours with { GreedyIds = [5, 9, 8, 2] },
            "threads" => Ours with { Threads = 1 },
            "tokens on" => Ours with { Tokens = 1024 },
            _ => Ours with { FirstLoss = double.NaN },
        };

        var disagreement = Hello.Disagreement(Ours, peer);
        var row = Row() with { Invalid = disagreement };

        Assert.Contains(what == "no number" ? "first losses" : what, disagreement, StringComparison.Ordinal);
        Assert.Equal(Verdict.Invalid, row.Verdict);
        Assert.Equal("invalid", BenchReport.Json([row])["sft"]!["ok"]!.GetValue<string>()); // the row is there
    }

    [Fact]
    public void The_json_has_the_agreed_fields_and_four_kinds_of_ok()
    {
        var json = BenchReport.Json(
        [
            Row(), Row() with { Name = "missed", Target = 1.5 }, Row() with { Name = "few", Ratios = new PairedRatios([[1.0]]) },
            Row() with { Name = "unasked", Target = null }, Row() with { Name = "empty", Ours = double.NaN, Ratios = new PairedRatios([]) },
        ]);

        foreach (var field in new[] { "ours", "peer", "unit", "ratio", "spread", "target", "ok" })
            Assert.True(json["sft"]!.AsObject().ContainsKey(field), field); // written just above
        Assert.True(json["sft"]!["ok"]!.GetValue<bool>());
        Assert.False(json["missed"]!["ok"]!.GetValue<bool>());
        Assert.Equal("inconclusive", json["few"]!["ok"]!.GetValue<string>());
        Assert.Null(json["unasked"]!["ok"]);
        Assert.Null(json["empty"]!["ours"]);
        Assert.Equal(9, json["sft"]!["tries"]![0]!.AsArray().Count);
        Assert.NotNull(JsonNode.Parse(json.ToJsonString()));
    }

    [Fact]
    public void The_table_tells_every_try()
    {
        var table = BenchReport.Markdown([Row() with { Ratios = new PairedRatios([[0.5, 0.5], [1.25, 1.25]]) }], "PyTorch");

        Assert.Contains("1: 0.500, spread 0.0 %, 2 pairs; 2: 1.250", table.Replace("0.0%", "0.0 %", StringComparison.Ordinal), StringComparison.Ordinal);
    }

    [Fact]
    public void An_acknowledged_judgement_that_is_lost_doubled_or_under_another_lease_is_found()
    {
        var acknowledged = Enumerable.Range(0, 3).Select(_ => new Acknowledged(new JudgementId(Guid.NewGuid()), new AssignmentId(Guid.NewGuid()), 1)).ToList();
        var rows = acknowledged.Select(one => (one.Judgement, (AssignmentId?)one.Assignment)).ToList();

        Assert.Null(StoredOnce.Problem(acknowledged, rows));
        Assert.Contains("1 are not stored", StoredOnce.Problem(acknowledged, rows[..2]), StringComparison.Ordinal);
        Assert.Contains("1 are stored more than once", StoredOnce.Problem(acknowledged, [.. rows, (new JudgementId(Guid.NewGuid()), acknowledged[0].Assignment)]), StringComparison.Ordinal);
        Assert.Contains("1 are not stored", StoredOnce.Problem(acknowledged, [.. rows[..2], (acknowledged[2].Judgement, new AssignmentId(Guid.NewGuid()))]), StringComparison.Ordinal);
    }

    [Fact]
    public void Both_sides_start_with_the_same_tokens()
    {
        // By the peer's formula, (i · 7919 + b · 104729 + 13) mod V, computed by hand for V = 100.
        var tokens = EngineTurns.Tokens(batch: 2, length: 3, vocabulary: 100);

        Assert.Equal([13, 32, 51], tokens[0]);
        Assert.Equal([42, 61, 80], tokens[1]);
    }

    private static BenchRow Row() => new() { Name = "sft", Ours = 1000, Peer = 1000, Unit = "tokens/s", Ratios = Nine, Target = 0.95 };
}
