using System.Text.RegularExpressions;
using Portal.Bench;
using Portal.Engine.Irl;
using Xunit;

namespace Portal.Tests.Bench;

/// <summary>The cases of the bench of audits, and that its runs are an audit's own; its races need numpy and are not made here.</summary>
public sealed partial class AuditsBenchTests
{
    [Fact]
    public void Each_method_with_a_counterpart_is_a_case_and_so_are_the_audit_and_its_parts()
    {
        Assert.Equal(
            [
                "fit-failure-aware-reweight", "fit-max-entropy", "fit-max-margin", "fit-bayesian-laplace", "fit-log-ratio-ridge", "fit-audit", "starc-bootstrap", "log-probs",
            ], AuditsBench.Compared.Select(one => one.Name));
        Assert.All(AuditsBench.Compared, one => Assert.Equal(one.Name == "log-probs" ? null : 3, one.Target));
    }

    /// <summary>All fits of an audit are compared in order, so the peer lists the methods as the engine runs them.</summary>
    [Fact]
    public void The_peer_has_the_engines_methods_in_the_engines_order()
    {
        var script = File.ReadAllText(Path.Combine(Repository.Root, "tests", "Bench", "irl_reference.py"));
        var names = MethodNames().Matches(script[script.IndexOf("METHODS = {", StringComparison.Ordinal)..script.IndexOf("def fit_and_score", StringComparison.Ordinal)]).Select(match => match.Groups[1].Value);

        Assert.Equal(new RewardAuditOptions().Methods.Select(method => method.Name), names);
    }

    [Fact]
    public void A_case_that_is_none_is_refused_by_name()
    {
        var nowhere = new FileInfo("none");
        var options = new AuditsBenchOptions(nowhere, nowhere, new DirectoryInfo("none"), new DirectoryInfo("none"), Quick: true, Threads: 1, ["fit-magic"]);

        var refused = Assert.ThrowsAsync<ArgumentException>(() => new AuditsBench(options).Run(_ => { }, default));

        Assert.Contains("\"fit-magic\" is no case; there are fit-failure-aware-reweight", refused.Result.Message, StringComparison.Ordinal);
    }

    /// <summary>What the peer gets is what the audit draws: a method by itself on the bench's runs has the weights it has within the audit, on another run it does not.</summary>
    [Fact]
    public void The_benchs_runs_are_those_of_the_audit()
    {
        var world = AuditsWorld.Draw(quick: true);
        var data = world.Prepare();
        var (fits, _) = RewardAudit.Fits(data, world.Options with { Methods = [new MaxEntropyIrl()] }, null, default);
        var runs = world.Runs(data).ToArray();
        double[] Alone(int run) => new MaxEntropyIrl().Fit(new IrlTask(data, runs[run].Rows, world.Options.Convergence), runs[run].Random, default).Reward.Theta;

        Assert.Equal(4, fits.Length);
        for (var run = 0; run < fits.Length; run++)
            Assert.Equal(fits[run].Fit.Reward.Theta, Alone(run));
        Assert.NotEqual(fits[0].Fit.Reward.Theta, Alone(1));
    }

    [Fact]
    public void A_whole_audit_is_a_row_with_a_limit_and_no_peer()
    {
        var row = AuditsBench.Whole(quick: true, _ => { }, default);
        var json = BenchReport.Json([row])["audit-seconds"]!;

        Assert.True(row is { Name: "audit-seconds", Ours: > 0, Unit: "s", Peer: null, Limit: 60 });
        Assert.Equal("lower", json["better"]!.GetValue<string>());
        Assert.Equal(60, json["target"]!.GetValue<double>());
        Assert.Null(json["peer"]);
    }

    [GeneratedRegex("""^    "([\w-]+)": """, RegexOptions.Multiline)]
    private static partial Regex MethodNames();
}
