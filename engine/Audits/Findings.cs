using Portal.Data.Audits;
using Portal.Data.Registry;
using Portal.Engine.Irl;
using Portal.Engine.Statistics;

namespace Portal.Engine.Audits;

/// <summary>From what the methods of engine/Irl return to the records of a report. Nothing is judged or chosen here.</summary>
internal static class Findings
{
    public static AuditInterval? Of(ConfidenceInterval? interval) => interval is { } own ? new AuditInterval(own.Estimate, own.Low, own.High, own.Level, own.Count) : null;

    /// <summary>A report's number as it was measured.</summary>
    public static ConfidenceInterval IntervalOf(AuditInterval own) => new(own.Estimate, own.Low, own.High, own.Level, own.Count);

    public static IReadOnlyList<AuditReason> Of(IReadOnlyList<VerdictReason> reasons) => [.. reasons.Select(reason => new AuditReason(reason.Kind.ToString(), reason.Sentence))];

    public static AuditVerdictStrip Of(AuditVerdict verdict) => new(Of(verdict.Reasons), Of(verdict.Identifiable), Of(verdict.Faithful), Of(verdict.Spurious));

    private static AuditLight Of(VerdictLight light) => new(light.State switch
    {
        LightState.Yes => AuditLightState.Yes,
        LightState.No => AuditLightState.No,
        LightState.NotEnoughEvidence => AuditLightState.NotEnoughEvidence,
    }, light.Sentence);

    /// <summary>A method with all of its runs.</summary>
    /// <param name="byRun">d_STARC of each run to the reference; empty without one, or where it is undefined.</param>
    public static AuditedMethod Of(MethodResult result, bool isControl, IReadOnlyList<VerdictReason> reasons, AuditReference? reference, IReadOnlyList<double> byRun, AuditKinds? kinds)
    {
        if (result.Measures is not { } measures)
            return new AuditedMethod { Name = result.Method, IsControl = isControl, WhyNot = result.WhyNot, Reasons = Of(reasons) };
        return new AuditedMethod
        {
            Name = result.Method, IsControl = isControl, Reasons = Of(reasons), Accuracy = Of(measures.Accuracy.Accuracy), CalibrationError = measures.Calibration.ExpectedCalibrationError, Brier = measures.Calibration.Brier,
            LogLoss = measures.Calibration.LogLoss, Bins = [.. measures.Calibration.Bins.Select(bin => new AuditBin(bin.From, bin.To, bin.Count, bin.MeanPredicted, Of(bin.Observed)))],
            Ambiguity = Of(measures.Ambiguity.Ensemble), Undetermined = Of(measures.Undetermined.Share), MedianInformation = measures.MedianInformation, AmbiguityByRound = [.. measures.ByRound.Select(Of)],
            Distances = measures.Ambiguity.Distances, Disagreement = Disagreement(result.Runs), Reference = reference, Kinds = kinds,
            Runs = [.. result.Runs.Select((run, i) => Of(run, measures.AccuracyByRun[i], measures.HoldoutNll[i], i < byRun.Count ? byRun[i] : null))],
        };
    }

    private static AuditRun Of(MethodRun run, double accuracy, double holdoutNll, double? distance)
    {
        var trace = run.Fit.Trace;
        return new AuditRun(run.Seed, run.Bootstrap, accuracy, holdoutNll, [.. trace.Epochs.Select(point => point.HoldoutNll)], [.. trace.Epochs.Select(point => point.TrainLoss)], trace.BestEpoch, trace.HasConverged, run.Fit.Ridge,
            distance, [.. (run.Fit.Failures?.Rounds ?? []).Select(round => new AuditRound(round.Round, round.Misclassified, round.NearTies, round.ScreenedOut, round.Admitted, round.HoldoutNll, round.IsAccepted))]);
    }

    private static IReadOnlyList<double[]> Disagreement(IReadOnlyList<MethodRun> runs) =>
        [.. runs.Select(first => runs.Select(second => first.TestMargins.Zip(second.TestMargins).Average(margins => Math.Sign(margins.First) == Math.Sign(margins.Second) ? 0.0 : 1)).ToArray())];

    public static AuditReference Of(ReferenceComparison comparison, PairAccuracy? accuracy) => new(Of(comparison.Distance), Of(comparison.Global), Of(comparison.Regret), Of(comparison.Ranks.Pearson),
        Of(comparison.Ranks.Spearman), Of(comparison.Ranks.Kendall), Of(comparison.Ranks.WithinPrompt), Of(accuracy?.Accuracy));

    /// <summary>How a mean reward sorts candidates by kind.</summary>
    /// <param name="rewards">Of candidates, prompt after prompt. [N].</param>
    /// <param name="kinds">Null: not known. [N].</param>
    /// <param name="prompts">[N].</param>
    /// <returns>Null where no candidate has a kind, or all have the same.</returns>
    public static AuditKinds? KindsOf(string by, IReadOnlyList<double> rewards, IReadOnlyList<bool?> kinds, IReadOnlyList<string> prompts, SeededRandom random)
    {
        int[] known = [.. Enumerable.Range(0, kinds.Count).Where(i => kinds[i] is not null)];
        var isBad = Array.ConvertAll(known, i => kinds[i] is true);
        if (!isBad.Contains(true) || !isBad.Contains(false))
            return null;
        var own = Array.ConvertAll(known, i => rewards[i]);
        var of = Array.ConvertAll(known, i => prompts[i]);
        var enough = new[] { true, false }.All(bad => of.Where((_, i) => isBad[i] == bad).Distinct(StringComparer.Ordinal).Count() >= MetricNames.PromptsForInterval);
        var half = of.Distinct(StringComparer.Ordinal).Index().ToDictionary(prompt => prompt.Item, prompt => prompt.Index % 2, StringComparer.Ordinal);
        Confusion? all = new Confusion();
        foreach (var judged in new[] { 0, 1 })
        {
            int[] learn = [.. Enumerable.Range(0, own.Length).Where(i => half[of[i]] != judged)], rest = [.. Enumerable.Range(0, own.Length).Where(i => half[of[i]] == judged)];
            bool[] kindsLearnt = [.. learn.Select(i => isBad[i])];
            all = rest.Length > 0 && kindsLearnt.Contains(true) && kindsLearnt.Contains(false)
                ? all + RewardClassification.Below(RewardClassification.Midpoint([.. learn.Select(i => own[i])], kindsLearnt), [.. rest.Select(i => own[i])], [.. rest.Select(i => isBad[i])]) : null;
        }
        return new AuditKinds(by, known.Length, isBad.Count(bad => bad), enough ? Of(RewardClassification.AreaForBad(own, isBad, of, random)) : null, all?.F1Positive, all?.F1Macro);
    }

    /// <summary>An incentive table.</summary>
    /// <param name="features">What each row is, in the table's order.</param>
    /// <param name="pairs">Ids of the pairs, in the order of the data.</param>
    public static AuditIncentives Of(string name, IncentiveTable table, IReadOnlyList<ReadableFeature> features, IReadOnlyList<string> pairs) => new(name, table.Test.ToString(), table.Level, table.RewardDeviation, table.Pairs, table.Runs,
        [.. table.Rows.Select(row => new AuditIncentive(row.Name, features[row.Feature].Name, row.Verdict switch
        {
            IncentiveVerdict.PaidFor => AuditIncentiveVerdict.PaidFor,
            IncentiveVerdict.Punished => AuditIncentiveVerdict.Punished,
            IncentiveVerdict.NotDetectable => AuditIncentiveVerdict.NotDetectable,
            IncentiveVerdict.SignFlips => AuditIncentiveVerdict.SignFlips,
            IncentiveVerdict.Constant => AuditIncentiveVerdict.Constant,
        }, features[row.Feature].SpuriousSign != 0, Of(row.Effect), Of(row.Alone), Of(row.LengthHeld), row.P, row.HolmP, row.SameSign, row.Vif, row.MarginShare, row.LeastDetectable, [.. row.Examples.Select(pair => pairs[pair])], features[row.Feature].SpuriousSign))]);

    /// <summary>Training pairs that the mean of the runs gets wrong or hardly tells apart.</summary>
    /// <param name="screened">The screened method's result, where it ran.</param>
    /// <param name="pairs">Ids of the training pairs.</param>
    /// <param name="referenceMargins">Of the training pairs; null without a reference.</param>
    public static IReadOnlyList<AuditFailure> FailuresOf(IrlData data, MethodResult result, MethodResult? screened, IReadOnlyList<string> pairs, IReadOnlyList<double>? referenceMargins)
    {
        var (runs, n) = (result.Runs.Count, data.Train.Count);
        double[] margin = new double[n], linear = new double[n], start = new double[n];
        var wrong = new int[n];
        foreach (var run in result.Runs)
        {
            var reward = run.Fit.Reward;
            double[] own = reward.Margins(data.Train), ofLinear = reward.BaseMargins(data.Train), before = run.Fit.Failures is { } aware ? aware.Rounds[0].Reward.Margins(data.Train) : own;
            var (scale, scaleBefore) = (Failures.Scale(own), Failures.Scale(before));
            for (var i = 0; i < n; i++)
            {
                (margin[i], linear[i], start[i]) = (margin[i] + own[i] / scale / runs, linear[i] + ofLinear[i] / scale / runs, start[i] + before[i] / scaleBefore / runs);
                wrong[i] += own[i] < 0 ? 1 : 0;
            }
        }
        var screens = screened is not { Measures: not null } ? null
            : screened.Runs.SelectMany(run => run.Fit.Failures?.Rows ?? []).Where(row => row.Screen is not ScreenReason.None).ToLookup(row => row.Pair, row => row.Screen);
        return
        [
            .. Enumerable.Range(0, n).Where(i => Failures.KindOf(margin[i]) is not FailureKind.None).OrderBy(i => margin[i]).ThenBy(i => i).Select(i => new AuditFailure(pairs[i],
                Failures.KindOf(margin[i]) is FailureKind.Misclassified ? AuditFailureKind.Misclassified : AuditFailureKind.NearTie, margin[i], linear[i], start[i], wrong[i], runs, screens?[i].Count(),
                screens?[i].CountBy(reason => reason).OrderByDescending(count => count.Value).ThenBy(count => count.Key).Select(count => count.Key.ToString()).FirstOrDefault(), data.Train.LogRatios[i], referenceMargins?[i])),
        ];
    }

    public static IReadOnlyList<AuditTestPair> TestPairsOf(MethodResult result, IReadOnlyList<string> pairs) => result.Measures is not { } measures ? []
        : [.. pairs.Select((pair, i) => new AuditTestPair(pair, result.Runs.Average(run => run.Calibration.Probability(run.TestMargins[i])), measures.Entropies[i].Total, measures.Entropies[i].Aleatoric,
            measures.Entropies[i].Epistemic, measures.Undetermined.IsUndetermined[i]))];

    /// <summary>Every candidate's reward beside the reference's, both z-scored over the candidates.</summary>
    public static IReadOnlyList<AuditPoint> PointsOf(MethodResult result, IReadOnlyList<string> texts, double[]? reference)
    {
        var (mean, spread) = RecoveredRewards.MomentsOf(result.MeanScores);
        var (referenceMean, referenceSpread) = RecoveredRewards.MomentsOf(reference ?? []);
        if (spread == 0)
            return [];
        // An offset that a run adds to all texts is no uncertainty: each run is centred first.
        double[] centres = [.. result.Runs.Select(run => run.Scores.Average())];
        return [.. texts.Select((text, i) => new AuditPoint(text, (result.MeanScores[i] - mean) / spread, SampleDeviation.Of([.. result.Runs.Select((run, m) => run.Scores[i] - centres[m])]) / spread,
            reference is null || referenceSpread == 0 ? null : (reference[i] - referenceMean) / referenceSpread))];
    }
}
