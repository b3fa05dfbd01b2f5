using System.Text.Json;
using Portal.Engine.Agreement;
using Xunit;

namespace Portal.Tests.Engine.Agreement;

/// <summary>
/// Expected numbers: the entries cohen_kappa, fleiss_kappa, krippendorff_alpha_nominal of golden/loss_vectors.json (an independent float64 implementation; tolerance 1e-9 as the file
/// says), golden/annotation_golden.json (computed apart from this project on three real sets, written with six decimals, hence 5e-7 and for log-likelihoods with four decimals 5e-5),
/// and closed forms in place.
/// </summary>
public sealed class AgreementTests
{
    // The repository's own copy where it has one.
    private static JsonElement Golden(string name)
    {
        DirectoryInfo? root = new(AppContext.BaseDirectory);
        while (root is not null && !File.Exists(Path.Combine(root.FullName, "Portal.sln"))) root = root.Parent;
        string own = Path.Combine(root?.FullName ?? "", "tests", "Golden", name);
        return JsonDocument.Parse(File.ReadAllText(File.Exists(own) ? own : SharedData.Path("golden/" + name))).RootElement;
    }

    private static int[] Ints(JsonElement list) => [.. list.EnumerateArray().Select(item => item.GetInt32())];

    [SharedFact]
    public void Cohen_kappa_matches_the_golden_vectors()
    {
        int cases = 0;
        foreach (JsonElement entry in Golden("loss_vectors.json").GetProperty("cases").GetProperty("cohen_kappa").EnumerateArray())
        {
            ChanceCorrected result = CohenKappa.Compute(Ints(entry.GetProperty("inputs").GetProperty("a")), Ints(entry.GetProperty("inputs").GetProperty("b")));
            JsonElement expected = entry.GetProperty("expected");
            Assert.Equal(expected.GetProperty("po").GetDouble(), result.Observed, 1e-9);
            Assert.Equal(expected.GetProperty("pe").GetDouble(), result.Expected, 1e-9);
            Assert.Equal(expected.GetProperty("kappa").GetDouble(), result.Kappa!.Value, 1e-9);
            cases++;
        }

        Assert.Equal(6, cases);
    }

    [SharedFact]
    public void Fleiss_kappa_matches_the_golden_vectors()
    {
        int cases = 0;
        foreach (JsonElement entry in Golden("loss_vectors.json").GetProperty("cases").GetProperty("fleiss_kappa").EnumerateArray())
        {
            ChanceCorrected result = FleissKappa.Compute([.. entry.GetProperty("inputs").GetProperty("counts").EnumerateArray().Select(Ints)]);
            JsonElement expected = entry.GetProperty("expected");
            Assert.Equal(expected.GetProperty("P").GetDouble(), result.Observed, 1e-9);
            Assert.Equal(expected.GetProperty("Pe").GetDouble(), result.Expected, 1e-9);
            Assert.Equal(expected.GetProperty("kappa").GetDouble(), result.Kappa!.Value, 1e-9);
            cases++;
        }

        Assert.Equal(6, cases);
    }

    [SharedFact]
    public void Krippendorff_alpha_matches_the_golden_vectors()
    {
        int cases = 0;
        foreach (JsonElement entry in Golden("loss_vectors.json").GetProperty("cases").GetProperty("krippendorff_alpha_nominal").EnumerateArray())
        {
            KrippendorffResult result = KrippendorffAlpha.Nominal([.. entry.GetProperty("inputs").GetProperty("units").EnumerateArray().Select(Ints)]);
            JsonElement expected = entry.GetProperty("expected");
            Assert.Equal(expected.GetProperty("Do").GetDouble(), result.ObservedDisagreement, 1e-9);
            Assert.Equal(expected.GetProperty("De").GetDouble(), result.ExpectedDisagreement, 1e-9);
            Assert.Equal(expected.GetProperty("alpha").GetDouble(), result.Alpha!.Value, 1e-9);
            cases++;
        }

        Assert.Equal(6, cases);
    }

    [SharedFact]
    public void Dawid_skene_1979_is_reproduced()
    {
        List<Vote> votes = [];
        foreach (string line in File.ReadLines(SharedData.Path("data/crowd/dawid_skene_1979.csv")).Skip(1))
        {
            int[] cells = [.. line.Split(',').Select(int.Parse)];
            votes.Add(new Vote(cells[0] - 1, cells[1] - 1, cells[3] - 1));
        }

        DawidSkeneFit fit = MatchesGolden("dawid_skene_1979", votes, 45, 5, 4);

        // The paper's table 2 gives the marginals .40 .42 .11 .07.
        Assert.Equal([0.40, 0.42, 0.11, 0.07], fit.ClassFrequency.Select(p => Math.Round(p, 2)));
        Assert.True(fit.Converged);
    }

    [SharedFact]
    public void Pandalm_annotators_are_reproduced()
    {
        List<Vote> votes = [];
        var labels = new List<int>[] { [], [], [] };
        JsonElement rows = JsonDocument.Parse(File.ReadAllText(SharedData.Path("data/preferences/pandalm_testset-v1.json"))).RootElement;
        foreach ((int item, JsonElement row) in rows.EnumerateArray().Index())
        {
            for (int annotator = 0; annotator < 3; annotator++)
            {
                int label = row.GetProperty($"annotator{annotator + 1}").GetInt32();
                votes.Add(new Vote(item, annotator, label));
                labels[annotator].Add(label);
            }
        }

        MatchesGolden("pandalm", votes, 999, 3, 3);
        double[] expected = [.. Golden("annotation_golden.json").GetProperty("pandalm").GetProperty("cohen_kappa_12_13_23").EnumerateArray().Select(kappa => kappa.GetDouble())];
        double[] kappas = [.. new[] { (0, 1), (0, 2), (1, 2) }.Select(pair => CohenKappa.Compute([.. labels[pair.Item1]], [.. labels[pair.Item2]]).Kappa!.Value)];
        Assert.All(expected.Zip(kappas), pair => Assert.Equal(pair.First, pair.Second, 5e-7));
        Assert.Equal([0.85, 0.88, 0.86], kappas.Select(kappa => Math.Round(kappa, 2))); // published in PandaLM's README
    }

    [SharedFact]
    public void Llmfao_crowd_is_reproduced()
    {
        var workers = new Dictionary<string, int>();
        var items = new Dictionary<string, int>();
        List<Vote> votes = [];
        foreach (string line in File.ReadLines(SharedData.Path("data/preferences/llmfao/crowd-comparisons.csv")).Skip(1))
        {
            string[] cells = line.Split(',');
            if (!items.TryGetValue(cells[0], out int item)) items[cells[0]] = item = items.Count;
            if (!workers.TryGetValue(cells[4], out int worker)) workers[cells[4]] = worker = workers.Count;
            votes.Add(new Vote(item, worker, cells[5] switch { "left" => 0, "right" => 1, "tie" => 2, _ => throw new InvalidDataException(line) }));
        }

        MatchesGolden("llmfao", votes, 2139, 124, 3);
    }

    private static DawidSkeneFit MatchesGolden(string set, List<Vote> votes, int items, int annotators, int labels)
    {
        JsonElement golden = Golden("annotation_golden.json").GetProperty(set);
        Assert.Equal(golden.GetProperty("votes").GetInt32(), votes.Count);
        Assert.Equal(golden.GetProperty("tasks").GetInt32(), items);
        Assert.Equal(golden.GetProperty("workers").GetInt32(), annotators);

        ChanceCorrected fleiss = FleissKappa.Compute(FleissKappa.Table(votes, labels));
        KrippendorffResult alpha = KrippendorffAlpha.Nominal([.. votes.GroupBy(vote => vote.Item).Select(group => group.Select(vote => vote.Label).ToArray())]);
        DawidSkeneFit fit = DawidSkene.Fit(votes, items, annotators, labels, new DawidSkeneOptions { Smoothing = golden.GetProperty("ds_smoothing").GetDouble() });

        Assert.Equal(golden.GetProperty("fleiss_kappa_variable_n").GetDouble(), fleiss.Kappa!.Value, 5e-7);
        Assert.Equal(golden.GetProperty("krippendorff_alpha_nominal").GetDouble(), alpha.Alpha!.Value, 5e-7);
        Assert.Equal(golden.GetProperty("ds_loglik").GetDouble(), fit.LogLikelihood, 1e-4);
        // EM stops by a tolerance of its own on either side: the frequencies agree to 2e-6, one part in 50 of the file's last digit apart at most.
        double[] expected = [.. golden.GetProperty("ds_class_marginals").EnumerateArray().Select(value => value.GetDouble())];
        Assert.All(expected.Zip(fit.ClassFrequency), pair => Assert.Equal(pair.First, pair.Second, 2e-6));
        return fit;
    }

    [Fact]
    public void Krippendorffs_worked_example_is_reproduced()
    {
        // Krippendorff 2011, section C (nominal data, any number of observers, missing data): 12 units, 4 observers, alpha = .743.
        int[][] units = [[1, 1, 1], [2, 2, 3, 2], [3, 3, 3, 3], [3, 3, 3, 3], [2, 2, 2, 2], [1, 2, 3, 4], [4, 4, 4, 4], [1, 1, 2, 1], [2, 2, 2, 2], [5, 5, 5], [1, 1], [3]];

        Assert.Equal(0.743, KrippendorffAlpha.Nominal(units).Alpha!.Value, 5e-4);
        Assert.Equal(40, KrippendorffAlpha.Nominal(units).PairableVotes);
    }

    [Fact]
    public void Perfect_agreement_is_one_and_one_label_says_nothing()
    {
        Assert.Equal(1.0, CohenKappa.Compute([0, 1, 2], [0, 1, 2]).Kappa);
        Assert.Null(CohenKappa.Compute([1, 1], [1, 1]).Kappa);
        Assert.Equal(1.0, FleissKappa.Compute([[3, 0], [0, 3]]).Kappa);
        Assert.Null(FleissKappa.Compute([[3, 0], [3, 0]]).Kappa);
        Assert.Equal(1.0, KrippendorffAlpha.Nominal([[0, 0], [1, 1]]).Alpha);
        Assert.Null(KrippendorffAlpha.Nominal([[1, 1], [1, 1]]).Alpha);
    }

    [Fact]
    public void Items_with_one_vote_do_not_count()
    {
        Assert.Equal(FleissKappa.Compute([[2, 1], [0, 3]]), FleissKappa.Compute([[2, 1], [1, 0], [0, 3], [0, 0]]));
        Assert.Equal(KrippendorffAlpha.Nominal([[0, 0, 1], [1, 1, 1]]), KrippendorffAlpha.Nominal([[0, 0, 1], [0], [1, 1, 1], []]));
    }

    [Fact]
    public void An_annotator_who_swaps_the_labels_is_found_out_and_used()
    {
        // 40 items with alternating truth; four annotators err on every tenth item (each on others), the fifth always says the opposite.
        List<Vote> votes = [];
        for (int item = 0; item < 40; item++)
        {
            int truth = item % 2;
            for (int annotator = 0; annotator < 4; annotator++) votes.Add(new Vote(item, annotator, item % 10 == annotator ? 1 - truth : truth));
            votes.Add(new Vote(item, 4, 1 - truth));
        }

        DawidSkeneFit fit = DawidSkene.Fit(votes, 41, 6, 2, new DawidSkeneOptions());

        Assert.All(Enumerable.Range(0, 40), item => Assert.True(fit.Posterior[item][item % 2] > 0.99));
        Assert.True(fit.Accuracy(4) < 0.05);
        Assert.Equal(0.9, fit.Accuracy(0), 0.02);
        Assert.Equal(fit.ClassFrequency[0], fit.Posterior[40][0], 1e-12); // nobody voted on item 40
        Assert.Equal(0.5, fit.Confusion[5][0][0], 1e-12); // annotator 5 never voted
    }

    [Fact]
    public void Wrong_input_is_named()
    {
        Assert.Contains("2 and 1", Assert.Throws<ArgumentException>(() => CohenKappa.Compute([0, 1], [0])).Message);
        Assert.Contains("No item has two votes", Assert.Throws<ArgumentException>(() => FleissKappa.Compute([[1, 0]])).Message);
        Assert.Contains("No unit has two votes", Assert.Throws<ArgumentException>(() => KrippendorffAlpha.Nominal([[1], []])).Message);
        Assert.Contains("Label = 2", Assert.Throws<ArgumentException>(() => DawidSkene.Fit([new Vote(0, 0, 2)], 1, 1, 2, new DawidSkeneOptions())).Message);
    }
}
