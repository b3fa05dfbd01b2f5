using Portal.Data;
using Portal.Data.JobSpecs;
using Portal.Data.Serving;
using Portal.Web.Audits;
using Xunit;

namespace Portal.Tests.Web.Audits;

/// <summary>What the wizard draws: choices, problems beside their fields, warnings, and the estimate in its states. Names are hostile.</summary>
public sealed class AuditFormTests
{
    private static readonly ModelVersionId First = new(Guid.NewGuid()), Second = new(Guid.NewGuid());
    private static readonly PolicyEndpointId Elsewhere = new(Guid.NewGuid());

    private static readonly AuditChoices View = new(new ProjectId(Guid.NewGuid()), "Village", true,
        [new(Second, "policy v2", "RLOO", First, true, false), new(First, "policy v1", "base", null, false, true)], [new(Elsewhere, "<script>alert(1)</script>", false, null)], [], [], ["rude"], 400, null);

    [Fact]
    public void Versions_and_endpoints_can_be_chosen_retired_ones_and_those_without_consent_say_so()
    {
        var html = Fields(new AuditInput());

        Assert.Contains($"<option value=\"{Second}\">policy v2, RLOO (serves)</option>", html, StringComparison.Ordinal);
        Assert.Contains("policy v1, base (retired)", html, StringComparison.Ordinal);
        Assert.Contains($"value=\"e:{Elsewhere}\"", html, StringComparison.Ordinal);
        Assert.Contains("(no consent to send texts)", html, StringComparison.Ordinal);
        Assert.DoesNotContain("<script>", html, StringComparison.Ordinal);
        Assert.Contains("400 prompts in the project", html, StringComparison.Ordinal);
        Assert.Contains("<option value=\"rude\">", html, StringComparison.Ordinal);
        Assert.All(AuditInput.Methods, method => Assert.Contains(Texts.Of($"Method.{method}"), html, StringComparison.Ordinal));
    }

    [Fact]
    public void Each_problem_stands_beside_its_field_and_opens_what_hides_it()
    {
        var problems = AuditFields.Fields.Select(field => new Problem(field, $"wrong: {field}")).ToList();

        var html = Rendering.Html<AuditFields>(("View", View), ("Input", new AuditInput()), ("Refusal", new Refusal(problems)));

        Assert.All(AuditFields.Fields, field => Assert.Contains($"wrong: {field}<", html, StringComparison.Ordinal));
        Assert.Contains("<details open", html, StringComparison.Ordinal);
        Assert.DoesNotContain("<details open", Fields(new AuditInput()), StringComparison.Ordinal);
    }

    [Fact]
    public void Prompts_of_the_training_part_and_texts_that_leave_the_house_are_warned_about()
    {
        Assert.DoesNotContain("trained-prompts", Fields(new AuditInput()), StringComparison.Ordinal);
        Assert.Contains("trained-prompts", Fields(new AuditInput { PromptSource = AuditPromptSource.All }), StringComparison.Ordinal);
        Assert.DoesNotContain("are sent to the endpoint", Fields(new AuditInput()), StringComparison.Ordinal);
        Assert.Contains("are sent to the endpoint", Fields(new AuditInput { Audited = AuditInput.Choice(Elsewhere) }), StringComparison.Ordinal);
        Assert.DoesNotContain("id=\"reader\"", Fields(new AuditInput { Audited = AuditInput.Choice(Elsewhere) }), StringComparison.Ordinal);
        Assert.Contains("id=\"reader\"", Fields(new AuditInput { Base = AuditInput.Choice(Elsewhere) }), StringComparison.Ordinal);
    }

    [Fact]
    public void The_estimate_says_what_can_be_found_from_what_and_how_long_it_takes()
    {
        var html = Card(Estimate(500, AuditPowerBasis.BothPolicies, 320));

        Assert.Contains("With 500 pairs this audit would find incentives of 0.50 or more.", html, StringComparison.Ordinal);
        Assert.Contains("320 pairs of answers that these two policies have given already", html, StringComparison.Ordinal);
        Assert.Contains("not-clean", html, StringComparison.Ordinal);
        Assert.DoesNotContain("too-few", html, StringComparison.Ordinal);
        Assert.Contains("no audit of this project has run", html, StringComparison.Ordinal);
        Assert.Contains("33&#xA0;%", html, StringComparison.Ordinal);
        Assert.Contains("as the project&#x27;s last audit took", Card(Estimate(500, AuditPowerBasis.NoTexts, 0), secondsEach: 1), StringComparison.Ordinal);
    }

    [Fact]
    public void Too_few_pairs_are_told_before_anything_runs_and_many_are_not_warned_about()
    {
        Assert.Contains("too-few", Card(Estimate(199, AuditPowerBasis.NoTexts, 0)), StringComparison.Ordinal);
        var many = Card(Estimate(2_000, AuditPowerBasis.ProjectTexts, 100));
        Assert.DoesNotContain("too-few", many, StringComparison.Ordinal);
        Assert.DoesNotContain("not-clean", many, StringComparison.Ordinal);
        Assert.Contains("made-up features", Card(Estimate(500, AuditPowerBasis.NoTexts, 0)), StringComparison.Ordinal);
    }

    [Fact]
    public void Without_an_estimate_its_place_says_why()
    {
        Assert.Contains("The engine is not running.", Rendering.Html<AuditEstimateCard>(("Estimate", null), ("Why", "The engine is not running.")), StringComparison.Ordinal);
        Assert.Contains("Reading the texts", Rendering.Html<AuditEstimateCard>(("Estimate", null), ("IsLooking", true)), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1_000, 2_800, 2 * (700 + 150 + (150 * 8)))]
    [InlineData(5_000, 2_800, 2 * (1_960 + 420 + (420 * 8)))]
    [InlineData(0, 2_800, 0)]
    public void Work_is_counted_from_parts_and_answers(int available, int most, int completions) =>
        Assert.Equal(completions, AuditWork.Of(new AuditReward { PromptsMax = most }, available).Completions);

    private static string Fields(AuditInput input) => Rendering.Html<AuditFields>(("View", View), ("Input", input));

    private static string Card(AuditEstimate estimate, double? secondsEach = null) => Rendering.Html<AuditEstimateCard>(("Estimate", estimate), ("SecondsEach", secondsEach));

    private static AuditEstimate Estimate(int pairs, AuditPowerBasis basis, int texts) => new(
        new AuditPowerResponse(basis, texts, pairs, 0.05, 0.8, [new("length_tokens", "Length in tokens", 0.5), new("agrees", "Agrees or flatters", 0.3)], [new(0.2, 0.33, 0.24, 0.43)], 100, 80, 400), new AuditWork(pairs, 4 * pairs));

    /// <summary>Texts as the pages' file has them.</summary>
    private static class Texts
    {
        private static readonly IReadOnlyDictionary<string, string> All = System.Xml.Linq.XDocument.Load(Path.Combine(Repository.Root, "web", "Audits", "Texts.resx")).Root!.Elements("data")
            .ToDictionary(data => (string)data.Attribute("name")!, data => (string)data.Element("value")!);

        public static string Of(string key) => All[key];
    }
}
