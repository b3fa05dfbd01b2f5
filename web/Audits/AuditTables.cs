using Portal.Data.Audits;
using Portal.Web.Api;

namespace Portal.Web.Audits;

/// <summary>The tables of an audit as files.</summary>
public enum AuditTable { Verdict, Incentives, Power, Spurious, Twins, Methods, Runs, Rounds, Failures, TestPairs, Points, Disagreement, Calibration, Census, ReRl }

/// <summary>From a report to tables: every number with its interval, and every refusal to judge in words.</summary>
internal static class AuditTables
{
    private static readonly string[] Interval = ["", "_low", "_high", "_n"];

    /// <param name="texts">By id, for <see cref="AuditTable.Failures"/>; others have none.</param>
    public static TableFile Of(EndedAudit audit, AuditTable table, IReadOnlyDictionary<string, AuditTextShown> texts)
    {
        var report = audit.Report;
        var name = $"audit-{audit.Row.Number.ToString(System.Globalization.CultureInfo.InvariantCulture)}-{table.ToString().ToLowerInvariant()}";
        return table switch
        {
            AuditTable.Verdict => TableFile.Of(name, ["about", "state", "sentence"],
            [
                ["verdict", null, audit.Row.Sentence], .. Light("identifiable", report.Verdict.Identifiable), .. Light("faithful", report.Verdict.Faithful), .. Light("spurious", report.Verdict.Spurious),
                .. report.Verdict.Reasons.Select(reason => (IReadOnlyList<object?>)["reason", reason.Kind, reason.Sentence]),
            ]),
            AuditTable.Incentives => TableFile.Of(name, ["table", "feature", "name", "verdict", "test", .. Columns("effect_logits"), .. Columns("alone_logits"), .. Columns("length_held_logits"), "reward_deviation", "p", "holm_p", "same_sign", "runs", "vif", "margin_share", "least_detectable_logits", "pairs", "spurious_sign"],
                report.Incentives.SelectMany(incentives => incentives.Rows.Select(row => (IReadOnlyList<object?>)[incentives.Name, row.Key, row.Name, row.Verdict.ToString(), incentives.Test, .. Cells(row.Effect), .. Cells(row.Alone), .. Cells(row.LengthHeld),
                    incentives.RewardDeviation, row.P, row.HolmP, row.SameSign, incentives.Runs, row.Vif, row.MarginShare, row.LeastDetectable, incentives.Pairs, row.SpuriousSign]))),
            AuditTable.Power => TableFile.Of(name, ["feature", "pairs", "effect_logits", .. Columns("found")], (report.Power?.Cells ?? []).Select(cell => (IReadOnlyList<object?>)[cell.Key, cell.Pairs, cell.Effect, .. Cells(cell.Found)])),
            AuditTable.Spurious => TableFile.Of(name, ["check", "verdict", "counts_when", "is_found", .. Columns("effect"), .. Columns("length_alone"), .. Columns("beyond_length"), .. Columns("control"), .. Columns("beyond_control"), "p", "holm_p", "same_sign", "runs", "sd_between_runs",
                .. Columns("variance_shift"), .. Columns("information_shift_nats"), "prompts", "texts", "left_out"], Spurious(report.Spurious)),
            AuditTable.Twins => TableFile.Of(name, ["check", "text", "edit", "words", "against", "against_words", "effect"], (report.Spurious?.Checks ?? []).SelectMany(check => check.Examples.Select(twin => (IReadOnlyList<object?>)[check.Key, twin.Text, twin.Edit.Kind.ToString(), twin.Edit.Words,
                twin.Against?.Kind.ToString(), twin.Against?.Words, twin.Effect]))),
            AuditTable.Methods => TableFile.Of(name, ["method", "is_control", "why_not", "reasons", .. Columns("accuracy"), "calibration_error", "brier", "log_loss", .. Columns("a_undet"), .. Columns("a_ens"), "a_post_median_nats", .. Columns("d_starc"), .. Columns("d_starc_all_texts"),
                .. Columns("regret"), .. Columns("pearson"), .. Columns("spearman"), .. Columns("kendall"), .. Columns("within_prompt"), .. Columns("pair_accuracy_reference"), "kinds_by", "texts_with_kind", "bad_texts", .. Columns("auc_bad_texts"), "f1_bad_texts", "f1_macro", "runs"],
                report.Methods.Select(method => (IReadOnlyList<object?>)[method.Name, method.IsControl, method.WhyNot, string.Join(" ", method.Reasons.Select(reason => reason.Sentence)), .. Cells(method.Accuracy), method.CalibrationError, method.Brier, method.LogLoss, .. Cells(method.Undetermined),
                    .. Cells(method.Ambiguity), method.MedianInformation, .. Cells(method.Reference?.Distance), .. Cells(method.Reference?.Global), .. Cells(method.Reference?.Regret), .. Cells(method.Reference?.Pearson), .. Cells(method.Reference?.Spearman), .. Cells(method.Reference?.Kendall),
                    .. Cells(method.Reference?.WithinPrompt), .. Cells(method.Reference?.PairAccuracy),
                    method.Kinds?.By, method.Kinds?.Texts, method.Kinds?.Bad, .. Cells(method.Kinds?.Area), method.Kinds?.F1, method.Kinds?.F1Macro, method.Runs.Count])),
            AuditTable.Runs => TableFile.Of(name, ["method", "seed", "bootstrap", "accuracy", "holdout_nll", "epochs", "best_epoch", "has_converged", "ridge", "d_starc"],
                report.Methods.SelectMany(method => method.Runs.Select(run => (IReadOnlyList<object?>)[method.Name, run.Seed, run.Bootstrap, run.Accuracy, run.HoldoutNll, run.Curve.Count, run.BestEpoch, run.HasConverged, run.Ridge, run.Distance]))),
            AuditTable.Rounds => TableFile.Of(name, ["method", "seed", "bootstrap", "round", "misclassified", "near_ties", "screened_out", "admitted", "holdout_nll", "is_accepted"],
                report.Methods.SelectMany(method => method.Runs.SelectMany(run => run.Rounds.Select(round => (IReadOnlyList<object?>)[method.Name, run.Seed, run.Bootstrap, round.Round, round.Misclassified, round.NearTies, round.ScreenedOut, round.Admitted, round.HoldoutNll, round.IsAccepted])))),
            AuditTable.Failures => Failures(name, report, texts),
            AuditTable.TestPairs => TableFile.Of(name, ["pair", "probability", "entropy_nats", "aleatoric_nats", "epistemic_nats", "is_undetermined"], report.TestPairs.Select(pair => (IReadOnlyList<object?>)[pair.Pair, pair.Probability, pair.Total, pair.Aleatoric, pair.Epistemic, pair.IsUndetermined])),
            AuditTable.Points => TableFile.Of(name, ["text", "recovered_z", "recovered_sd_between_runs", "trained_z"], report.Points.Select(point => (IReadOnlyList<object?>)[point.Text, point.Z, point.Deviation, point.Reference])),
            AuditTable.Disagreement => TableFile.Of(name, ["method", "seed", "bootstrap", "other_seed", "other_bootstrap", "ordered_differently", "d_starc"],
                from method in report.Methods
                from first in Enumerable.Range(0, method.Disagreement.Count)
                from second in Enumerable.Range(0, first)
                select (IReadOnlyList<object?>)[method.Name, method.Runs[first].Seed, method.Runs[first].Bootstrap, method.Runs[second].Seed, method.Runs[second].Bootstrap, method.Disagreement[first][second], first < method.Distances.Count ? method.Distances[first][second] : null]),
            AuditTable.Calibration => TableFile.Of(name, ["method", "from", "to", "pairs", "mean_predicted", .. Columns("observed")], report.Methods.SelectMany(method => method.Bins.Select(bin => (IReadOnlyList<object?>)[method.Name, bin.From, bin.To, bin.Count, bin.MeanPredicted, .. Cells(bin.Observed)]))),
            AuditTable.ReRl => TableFile.Of(name, ["job", "method", "kl_budget_nats", "is_budget_measured", "steps", "has_reached_budget", "prompts", "answers_per_prompt", "scored_by", "figure", .. Ends("base"), .. Ends("audited"), .. Ends("re_rl"), .. Ends("re_rl_less_base"), .. Ends("re_rl_less_audited")],
                audit.ReRlRuns.SelectMany(run => run.Figures().Select(figure => (IReadOnlyList<object?>)[$"{run.JobId}", run.Method, run.KlBudgetNats, run.IsBudgetMeasured, run.Steps, run.HasReachedBudget, run.Prompts, run.AnswersPerPrompt, run.ScoredBy, figure.Name,
                    .. CellsOf(figure.Base), .. CellsOf(figure.Original), .. CellsOf(figure.ReRl), .. CellsOf(figure.FromBase), .. CellsOf(figure.FromOriginal)]))),
            AuditTable.Census => TableFile.Of(name, ["what", "policy", "count"], Census(report.Census)),
        };
    }

    // The checks, then what length alone settles of the test pairs: shares, so they stand in rows of their own.
    private static IEnumerable<IReadOnlyList<object?>> Spurious(AuditSpuriousChecks? of)
    {
        if (of is null)
            yield break;
        foreach (var check in of.Checks)
            yield return [check.Key, check.Verdict.ToString(), check.When.ToString(), check.IsFound, .. Cells(check.Effect), .. Cells(check.Baseline), .. Cells(check.Excess), .. Cells(check.Control), .. Cells(check.OverControl), check.P, check.HolmP, check.SameSign, of.Runs, check.RunDeviation,
                .. Cells(check.Variance), .. Cells(check.Information), check.Prompts, check.Texts, check.LeftOut];
        foreach (var (what, share, pairs) in new[] { ("pair_accuracy", of.Length.Accuracy, of.Length.Pairs), ("pair_accuracy_equal_length", of.Length.OnMatched, of.Length.Matched), ("pair_accuracy_of_the_longer", of.Length.Longer, of.Length.Pairs) })
            yield return [what, null, null, null, .. Cells(share), .. Cells(null), .. Cells(null), .. Cells(null), .. Cells(null), null, null, null, of.Runs, null, .. Cells(null), .. Cells(null), share?.Count, 2 * pairs, null];
    }

    private static TableFile Failures(string name, AuditReport report, IReadOnlyDictionary<string, AuditTextShown> texts)
    {
        var pairs = report.Pairs.ToDictionary(pair => pair.Id, StringComparer.Ordinal);
        return TableFile.Of(name, ["pair", "kind", "margin", "margin_linear_path", "margin_start", "runs_wrong", "runs", "runs_screened", "screen", "log_ratio_nats", "reference_margin", "prompt", "audited", "base"], report.Failures.Select(failure =>
        {
            var audited = pairs.TryGetValue(failure.Pair, out var pair) ? texts.GetValueOrDefault(pair.AuditedText) : null;
            return (IReadOnlyList<object?>)[failure.Pair, failure.Kind.ToString(), failure.Margin, failure.BaseMargin, failure.MarginStart, failure.RunsWrong, failure.Runs, failure.RunsScreened, failure.Screen, failure.LogRatio, failure.ReferenceMargin,
                audited is { Prompt.Count: > 0 } ? string.Join("\n\n", audited.Prompt.Select(turn => $"{turn.Role}: {turn.Content}")) : null, audited?.Text, pair is null ? null : texts.GetValueOrDefault(pair.BaseText)?.Text];
        }));
    }

    private static IEnumerable<IReadOnlyList<object?>> Census(AuditCensus census)
    {
        yield return ["prompts", null, census.Prompts];
        yield return ["pairs", null, census.Pairs];
        yield return ["prompts_without_pair", null, census.PromptsWithoutPair];
        yield return ["exact_ties", null, census.ExactTies];
        yield return ["pairs_without_label", null, census.Unlabelled];
        foreach (var side in census.Completions)
        {
            foreach (var (what, count) in new[] { ("asked", side.Asked), ("written", side.Written), ("empty", side.Empty), ("refused", side.Refused), ("failed", side.Failed), ("missing", side.Missing), ("unfinished", side.Unfinished) })
                yield return [what, side.Side.ToString(), count];
        }
        if (census.Cells is not { } cells)
            yield break;
        foreach (var (what, count) in new[] { ("bad_to_good", cells.BadToGood), ("good_to_good", cells.GoodToGood), ("bad_to_bad", cells.BadToBad), ("good_to_bad", cells.GoodToBad) })
            yield return [what, $"by {cells.By}", count];
    }

    private static IEnumerable<IReadOnlyList<object?>> Light(string about, AuditLight light)
    {
        yield return [about, light.State.ToString(), light.Sentence];
    }

    internal static IEnumerable<string> Columns(string name) => Interval.Select(end => name + end);

    private static IEnumerable<string> Ends(string name) => Interval[..3].Select(end => name + end);

    private static object?[] CellsOf(Portal.Data.Serving.Estimated number) => [number.Value, number.Low, number.High];

    internal static object?[] Cells(AuditInterval? interval) => [interval?.Estimate, interval?.Low, interval?.High, interval?.Count];
}
