using Portal.Data;
using Portal.Data.SaeFeatures;
using Portal.Engine.Sae;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Portal.Tests.Engine.Sae;

/// <summary>Every statistic against a count by brute force on dense codes, where nothing is sparse, sorted or turned round.</summary>
public sealed class FeatureDashboardsTests
{
    private const int Latents = 12, Responses = 80, Top = 4;

    private readonly double[,] ends = new double[Responses, Latents];
    private readonly List<(int Response, double[] Z, ulong Hash)> sentences = [];
    private readonly FeatureFirings firings = new(Latents);
    private readonly float[] weights;
    private readonly float[] decoder;
    private readonly double[] rewards = new double[Responses];
    private readonly List<CodedPair> pairs = [];
    private readonly List<PairVote> votes = [];
    private readonly AnnotatorId[] people = [.. Enumerable.Range(1, 7).Select(i => AnnotatorId.From(new Guid(i, 0, 0, new byte[8])))];
    private readonly IReadOnlyList<FeatureDashboard> dashboards;

    public FeatureDashboardsTests()
    {
        var random = new Random(11);
        weights = [.. Enumerable.Range(0, Latents).Select(_ => (float)(random.NextDouble() - 0.5))];
        decoder = [.. Enumerable.Range(0, Latents * 5).Select(_ => (float)(random.NextDouble() - 0.5))];
        for (var response = 0; response < Responses; response++)
        {
            for (var sentence = 0; sentence < response % 4; sentence++)
            {
                var z = Draw();
                sentences.Add((response, z, (ulong)random.Next(60))); // some say the same
                Add(z, new FeaturePlace(response, ContextPosition.Sentence, 10 * sentence, 9, sentences[^1].Hash));
            }
            var end = Draw();
            Add(end, new FeaturePlace(response, ContextPosition.End, 0, 40, 1_000 + (ulong)(response / 2)));
            for (var latent = 0; latent < Latents; latent++)
                ends[response, latent] = end[latent];
            rewards[response] = Math.Round(random.NextDouble() * 8); // with ties
        }
        for (var pair = 0; pair < 30; pair++)
        {
            var (one, other) = (random.Next(Responses / 2), Responses / 2 + random.Next(Responses / 2));
            pairs.Add(new CodedPair(PromptId.From(new Guid(pair, 0, 0, new byte[8])), one, other, 1, pair % 2 == 0));
            foreach (var person in people.Take(pair % people.Length + 1))
                votes.Add(random.Next(3) == 0 ? new PairVote(person, other, one) : new PairVote(person, one, other));
        }
        using var directions = tensor(decoder, [Latents, 5]);
        dashboards = FeatureDashboards.Build(new DashboardData
        {
            Firings = firings, HeadWeights = weights, Decoder = directions, Rewards = rewards, Pairs = pairs, Votes = votes, ContextsPerFeature = Top, Seed = 1,
        }, firings.ByLatent(), CancellationToken.None);

        double[] Draw() => [.. Enumerable.Range(0, Latents).Select(latent => latent == Latents - 1 || random.Next(3) > 0 ? 0 : Math.Round(random.NextDouble(), 2) + 0.01)]; // the last one is dead
        void Add(double[] z, FeaturePlace place)
        {
            int[] active = [.. Enumerable.Range(0, Latents).OrderByDescending(latent => z[latent]).Take(6)];
            for (var latent = 0; latent < Latents; latent++)
                z[latent] = active.Contains(latent) ? (float)z[latent] : 0;
            firings.Add(place, active, [.. active.Select(latent => (float)z[latent])]);
        }
    }

    [Fact]
    public void Firings_heights_and_contributions_are_counted()
    {
        foreach (var one in dashboards)
        {
            double[] z = [.. Enumerable.Range(0, Responses).Select(response => ends[response, one.Latent])];
            Assert.Equal(z.Count(value => value > 0), one.FiringAtEnd);
            Assert.Equal(sentences.Count(sentence => sentence.Z[one.Latent] > 0), one.FiringAtSentence);
            Assert.Equal(z.Max(), one.ActivationMax);
            Assert.Equal(z.Where(value => value > 0).DefaultIfEmpty(0).Average(), one.ActivationMean, 9);
            Assert.Equal(weights[one.Latent] * z.Average(), one.ContributionMean, 9);
            Assert.Equal(weights[one.Latent], one.HeadWeight);
        }
        Assert.Equal((0, 0, 0.0), (dashboards[^1].FiringAtEnd, dashboards[^1].FiringAtSentence, dashboards[^1].ActivationMax));
    }

    [Fact]
    public void Pairs_and_their_gaps_are_counted()
    {
        foreach (var one in dashboards)
        {
            double[] gaps = [.. pairs.Select(pair => ends[pair.Chosen, one.Latent] - ends[pair.Rejected, one.Latent])];
            Assert.Equal(gaps.Count(gap => gap != 0), one.PairsDiffering);
            Assert.Equal(weights[one.Latent] * gaps.Average(), one.GapContribution, 9);
        }
    }

    [Fact]
    public void The_curve_of_the_reward_is_that_of_all_comparisons()
    {
        foreach (var one in dashboards)
        {
            var (fires, silent) = (Enumerable.Range(0, Responses).Where(r => ends[r, one.Latent] > 0).ToList(), Enumerable.Range(0, Responses).Where(r => !(ends[r, one.Latent] > 0)).ToList());
            if (fires.Count == 0)
            {
                Assert.Null(one.RewardAuc);
                continue;
            }
            var wins = fires.Sum(a => silent.Sum(b => rewards[a] > rewards[b] ? 1 : rewards[a] == rewards[b] ? 0.5 : 0));
            Assert.Equal(wins / (fires.Count * silent.Count), one.RewardAuc!.Value, 9); // fires somewhere, not everywhere
        }
    }

    [Fact]
    public void Histograms_have_equal_steps_up_to_the_highest()
    {
        foreach (var one in dashboards)
        {
            double[] atEnd = [.. Enumerable.Range(0, Responses).Select(r => ends[r, one.Latent]).Where(z => z > 0)], atSentence = [.. sentences.Select(s => s.Z[one.Latent]).Where(z => z > 0)];
            Assert.Equal(atEnd.Concat(atSentence).DefaultIfEmpty(0).Max(), one.Histogram.Max);
            for (var step = 0; step < FeatureDashboards.Steps; step++)
            {
                Assert.Equal(atEnd.Count(z => In(z, step)), one.Histogram.AtEnd[step]);
                Assert.Equal(atSentence.Count(z => In(z, step)), one.Histogram.AtSentence[step]);
            }
            bool In(double z, int step) => z / one.Histogram.Max * FeatureDashboards.Steps is var at && (int)at == step || step == FeatureDashboards.Steps - 1 && z == one.Histogram.Max;
            Assert.Equal(atEnd.Length, one.Histogram.AtEnd.Sum());
        }
    }

    [Fact]
    public void Related_latents_are_the_nearest_directions_and_the_most_frequent_company()
    {
        foreach (var one in dashboards)
        {
            var others = Enumerable.Range(0, Latents).Where(other => other != one.Latent).ToList();
            Assert.All(one.Related, related =>
            {
                Assert.Equal(Cosine(one.Latent, related.Latent), related.Cosine, 5);
                Assert.Equal(Jaccard(one.Latent, related.Latent), related.Together, 9);
            });
            var listed = one.Related.Select(related => related.Latent).ToList();
            Assert.Equal(listed.Count, listed.Distinct().Count());
            Assert.Superset(others.OrderByDescending(other => Cosine(one.Latent, other)).Take(RelatedFeatures.Each).ToHashSet(), listed.ToHashSet());
            Assert.Superset(others.Where(other => Jaccard(one.Latent, other) > 0).OrderByDescending(other => Jaccard(one.Latent, other)).ThenBy(other => other).Take(RelatedFeatures.Each).ToHashSet(), listed.ToHashSet());
        }

        double Cosine(int a, int b)
        {
            double Dot(int x, int y) => Enumerable.Range(0, 5).Sum(i => (double)decoder[x * 5 + i] * decoder[y * 5 + i]);
            return Dot(a, b) / Math.Sqrt(Dot(a, a) * Dot(b, b));
        }

        double Jaccard(int a, int b)
        {
            var both = Enumerable.Range(0, Responses).Count(r => ends[r, a] > 0 && ends[r, b] > 0);
            var either = Enumerable.Range(0, Responses).Count(r => ends[r, a] > 0 || ends[r, b] > 0);
            return either == 0 ? 0 : (double)both / either;
        }
    }

    [Fact]
    public void Voters_are_shown_from_five_people_on_as_excess_over_their_share()
    {
        foreach (var one in dashboards)
        {
            var own = votes.Where(vote => ends[vote.Preferred, one.Latent] != ends[vote.Other, one.Latent]).ToList();
            var favours = own.Where(vote => ends[vote.Preferred, one.Latent] > ends[vote.Other, one.Latent]).ToList();
            if (own.Select(vote => vote.Annotator).Distinct().Count() < 5 || favours.Count == 0)
            {
                Assert.Empty(one.Voters);
                continue;
            }
            Assert.Equal(own.Select(vote => vote.Annotator).Distinct().Count(), one.Voters.Count);
            Assert.All(one.Voters, voter =>
            {
                var share = (double)favours.Count(vote => vote.Annotator == voter.AnnotatorId) / favours.Count;
                Assert.Equal(own.Count(vote => vote.Annotator == voter.AnnotatorId), voter.Votes);
                Assert.Equal(share, voter.Share, 9);
                Assert.Equal(share - (double)votes.Count(vote => vote.Annotator == voter.AnnotatorId) / votes.Count, voter.Excess, 9);
            });
        }
        Assert.Contains(dashboards, one => one.Voters.Count > 0);
    }

    /// <summary>Four people are too few to say anything about one of them.</summary>
    [Fact]
    public void Four_people_are_not_shown()
    {
        using var directions = tensor(decoder, [Latents, 5]);
        var few = FeatureDashboards.Build(new DashboardData
        {
            Firings = firings, HeadWeights = weights, Decoder = directions, Rewards = rewards, Pairs = pairs, Votes = [.. votes.Where(vote => people.Take(4).Contains(vote.Annotator))],
            ContextsPerFeature = Top, Seed = 1,
        }, firings.ByLatent(), CancellationToken.None);

        Assert.All(few, one => Assert.Empty(one.Voters));
    }

    [Fact]
    public void Contexts_are_the_strongest_different_texts_and_a_fair_draw_of_each_quarter()
    {
        foreach (var one in dashboards)
        {
            foreach (var kind in new[] { ContextPosition.End, ContextPosition.Sentence })
            {
                var picked = one.Contexts.Where(context => firings.Places[context.Place].Position == kind).ToList();
                var all = Enumerable.Range(0, firings.Places.Count).Where(place => firings.Places[place].Position == kind).Select(place => (Place: place, Z: ZOf(place, one.Latent))).Where(entry => entry.Z > 0).ToList();
                // The strongest of each text, in order of strength: the first four are the top.
                var byText = all.GroupBy(entry => firings.Places[entry.Place].TextHash).Select(text => text.OrderByDescending(entry => entry.Z).ThenBy(entry => entry.Place).First())
                    .OrderByDescending(entry => entry.Z).ThenBy(entry => entry.Place).ToList();
                Assert.Equal(byText.Take(Top), picked.Where(context => context.Band == 0).Select(context => (context.Place, context.Activation)));
                foreach (var context in picked.Where(context => context.Band > 0))
                {
                    Assert.Equal(ZOf(context.Place, one.Latent), context.Activation);
                    Assert.InRange(1 - context.Activation / all.Max(entry => entry.Z), (context.Band - 1) / 4.0 - 1e-6, context.Band / 4.0 + 1e-6);
                    Assert.DoesNotContain(picked, other => other.Band == 0 && firings.Places[other.Place].TextHash == firings.Places[context.Place].TextHash);
                }
                foreach (var band in picked.Where(context => context.Band > 0).GroupBy(context => context.Band))
                {
                    Assert.InRange(band.Count(), 1, Top / 2);
                    Assert.Equal(band.Count(), band.DistinctBy(context => firings.Places[context.Place].TextHash).Count());
                }
            }
        }

        double ZOf(int place, int latent) => firings.LatentsOf(place).ToArray().Zip(firings.ValuesOf(place).ToArray()).FirstOrDefault(entry => entry.First == latent).Second;
    }

    /// <summary>Each text of a quarter is drawn about equally often over seeds: 10 of 40, so 250 of 1,000 times, deviation 13.7.</summary>
    [Fact]
    public void The_draw_of_a_quarter_prefers_no_text()
    {
        List<(int, float)> candidates = [.. Enumerable.Range(0, 20).Select(i => (i, 1f)), .. Enumerable.Range(20, 40).Select(i => (i, 0.1f))];
        var drawn = new int[60];
        for (var seed = 0; seed < 1_000; seed++)
            foreach (var context in FeatureContextPicker.Pick(candidates, place => (ulong)place, 20, (ulong)seed * 7_919).Where(context => context.Band == 4))
                drawn[context.Place]++;

        Assert.Equal(10_000, drawn.Sum());
        Assert.All(drawn.Skip(20), count => Assert.InRange(count, 190, 310));
    }

    [Fact]
    public void Places_without_an_end_or_with_two_are_refused()
    {
        var some = new FeatureFirings(3);
        some.Add(new FeaturePlace(0, ContextPosition.Sentence, 0, 1, 1), [1], [1f]);
        Assert.Contains("Response 0 has no end", Assert.Throws<ArgumentException>(() => FeatureDashboards.Ends(some, 1)).Message, StringComparison.Ordinal);
        some.Add(new FeaturePlace(0, ContextPosition.End, 0, 1, 1), [1], [1f]);
        some.Add(new FeaturePlace(0, ContextPosition.End, 0, 1, 1), [1], [1f]);
        Assert.Contains("two ends", Assert.Throws<ArgumentException>(() => FeatureDashboards.Ends(some, 1)).Message, StringComparison.Ordinal);
        Assert.Contains("latent 3 is none of 3", Assert.Throws<ArgumentException>(() => some.Add(default, [3], [1f])).Message, StringComparison.Ordinal);
    }
}
