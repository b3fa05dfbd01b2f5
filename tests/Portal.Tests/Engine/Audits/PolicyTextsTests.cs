using System.Text.Json;
using Portal.Data.Audits;
using Portal.Data.Endpoints;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Engine;
using Portal.Engine.Audits;
using Portal.Tests.Engine.Endpoints;
using Portal.Tests.Engine.Recipes;
using Xunit;

namespace Portal.Tests.Engine.Audits;

/// <summary>Where an audit's texts come from: a model, a file, and chunks that are there from an earlier run.</summary>
public sealed class PolicyTextsTests : IDisposable
{
    private readonly RunFolders folders = new();

    public PolicyTextsTests() => Directory.CreateDirectory(folders.Artefacts);

    public void Dispose() => folders.Dispose();

    [Fact]
    public async Task A_models_probabilities_are_those_of_one_text_at_a_time()
    {
        using var model = ToyWorld.Model(2);
        var policy = new ModelTexts(model, ToyWorld.Tokenizer, "toy");
        AuditPrompt[] prompts = [.. ToyWorld.Prompts.Take(5).Select((text, i) => new AuditPrompt($"p{i}", $"p{i}", ToyWorld.TurnsOf(text), []))];

        var written = await policy.Complete(prompts, 3, new SamplingSpec { TokensMax = 12, Temperature = 1, Seed = 4 }, CancellationToken.None);
        AnswerToScore[] read = [.. prompts.SelectMany((prompt, i) => new[] { ToyWorld.Good(ToyWorld.Prompts[i], 0), ToyWorld.Bad(ToyWorld.Prompts[i], 1) }.Select(text => new AnswerToScore(prompt, text, true, null, null)))];
        var byText = await policy.LogProbs(read, CancellationToken.None);
        AnswerToScore[] own = [.. prompts.SelectMany((prompt, i) => written[i].Where(answer => answer.Status is CompletionStatus.Written).Select(answer => new AnswerToScore(prompt, answer.Text, answer.Finished, answer.Ids, policy.Identity.TokenizerHash)))];
        var byTokens = await policy.LogProbs(own, CancellationToken.None);

        Assert.All(written, answers => Assert.Equal(3, answers.Count));
        foreach (var (answer, logProb) in read.Zip(byText))
            Assert.Equal(ToyWorld.LogProb(model, answer.Prompt.Turns[0].Content, answer.Text), logProb!.Value, 1e-3);
        Assert.All(byTokens, logProb => Assert.InRange(logProb!.Value, -200, 0));
        // Unfinished, the end mark is no part of the answer, and the text without it is likelier than with it.
        var cut = await policy.LogProbs([.. read.Select(answer => answer with { Finished = false })], CancellationToken.None);
        Assert.All(cut.Zip(byText), pair => Assert.True(pair.First > pair.Second));
    }

    [Fact]
    public async Task A_prompt_that_leaves_no_room_has_failed_and_the_others_are_answered()
    {
        using var model = ToyWorld.Model(2);
        var policy = new ModelTexts(model, ToyWorld.Tokenizer, "toy");
        AuditPrompt[] prompts = [new("long", "long", [new Turn("user", string.Concat(Enumerable.Repeat("May I? ", 60)))], []), new("short", "short", [new Turn("user", "May I?")], [])];

        var written = await policy.Complete(prompts, 2, new SamplingSpec { TokensMax = 8 }, CancellationToken.None);

        Assert.All(written[0], completion => Assert.Equal(CompletionStatus.Failed, completion.Status));
        Assert.Contains("leaves no room for an answer in a context of 64", written[0][0].Problem, StringComparison.Ordinal);
        Assert.All(written[1], completion => Assert.NotEqual(CompletionStatus.Failed, completion.Status));
    }

    [Fact]
    public async Task A_file_gives_its_completions_in_order_with_what_is_missing()
    {
        var file = CompletionFile.Read(Lines(
            """{"prompt_id":"p0","policy":"audited","text":" Yes. ","log_prob_audited":-1.5,"log_prob_base":-2.5}""", "",
            """{"prompt_id":"p0","policy":"audited","status":"refused","problem":"content filter"}""", """{"prompt_id":"p0","policy":"audited","text":"Third.","finished":false,"label":true}""",
            """{"prompt_id":"p0","policy":"base","text":"No.","log_prob_audited":-4}""", """{"prompt_id":"p1","policy":"base","text":"  "}""", """{"prompt_id":"other","policy":"base","text":"No."}"""), CancellationToken.None);
        var prompts = SmallAudit.Prompts(2).All;

        var audited = await file.Of(AuditSide.Audited).Complete(prompts, 4, new SamplingSpec(), CancellationToken.None);
        var other = await file.Of(AuditSide.Base).Complete(prompts, 1, new SamplingSpec(), CancellationToken.None);
        AnswerToScore[] asked = [.. new[] { "Yes.", "No.", "Third." }.Select(text => new AnswerToScore(prompts[0], text, true, null, null))];

        Assert.Equal([CompletionStatus.Written, CompletionStatus.Refused, CompletionStatus.Written, CompletionStatus.Missing], audited[0].Select(completion => completion.Status));
        Assert.Equal(("Yes.", "content filter", true, false), (audited[0][0].Text, audited[0][1].Problem, audited[0][2].Label, audited[0][2].Finished));
        Assert.Equal("completions.jsonl has 3 of 4 completions of this prompt by this policy.", audited[0][3].Problem);
        Assert.All(audited[1], completion => Assert.Equal(CompletionStatus.Missing, completion.Status));
        Assert.Equal([CompletionStatus.Written, CompletionStatus.Empty], other.Select(own => own[0].Status));
        Assert.Equal([-1.5, -4, null], await file.Of(AuditSide.Audited).LogProbs(asked, CancellationToken.None));
        Assert.Equal([-2.5, null, null], await file.Of(AuditSide.Base).LogProbs(asked, CancellationToken.None));
        Assert.Equal(1, file.Unasked(prompts));
    }

    /// <summary>PostgreSQL stores no NUL: such a text is no text, wherever it comes from, and its neighbours stay.</summary>
    [Fact]
    public async Task A_text_with_a_NUL_has_failed_with_its_reason_and_is_counted_once()
    {
        const string Reason = "The text holds a NUL character at position 4, which the portal's databases do not store.";
        var file = CompletionFile.Read(Lines("""{"prompt_id":"p0","policy":"audited","text":"No.\u0000"}""", """{"prompt_id":"p0","policy":"audited","text":"No."}"""), CancellationToken.None);
        await using var server = await EndpointServer.Start();
        server.Answer = (http, _, _) => EndpointServer.Raw(http, """{"choices":[{"text":"No.\u0000"},{"text":" No."},{"text":" \n"},{"text":"Ask me.","finish_reason":"content_filter"}]}""");
        var endpoint = server.Endpoint(settings => settings with { Api = EndpointApi.Completions });
        using var client = server.Policy(endpoint);
        var outside = new EndpointTexts(endpoint, client);

        var ofFile = (await file.Of(AuditSide.Audited).Complete(SmallAudit.Prompts(1).All, 2, new SamplingSpec(), CancellationToken.None))[0];
        var ofEndpoint = (await outside.Complete(SmallAudit.Prompts(1).All, 4, new SamplingSpec(), CancellationToken.None))[0];

        Assert.Equal([(CompletionStatus.Failed, "", Reason), (CompletionStatus.Written, "No.", null)], ofFile.Select(completion => (completion.Status, completion.Text, completion.Problem)));
        Assert.Equal([CompletionStatus.Failed, CompletionStatus.Written, CompletionStatus.Empty, CompletionStatus.Refused], ofEndpoint.Select(completion => completion.Status));
        Assert.Equal(("", Reason, " No."), (ofEndpoint[0].Text, ofEndpoint[0].Problem, ofEndpoint[1].AsWritten));
        Assert.Equal("Test: 1 of 4 completions came, 1 empty, 1 refused, 1 failed.", outside.Account);
    }

    /// <summary>Both policies of an audit score the same string: what the writer wrote behind the prompt, not what is left of it when it is trimmed.</summary>
    [Fact]
    public async Task An_endpoint_scores_an_answer_as_it_was_written()
    {
        await using var server = await EndpointServer.Start();
        server.Answer = (http, request, _) => EndpointServer.Json(http, new { choices = new[] { new { text = (int?)request.Body["max_tokens"] == 0 ? (string)request.Body["prompt"]! : "  Yes.\n" } } });
        var endpoint = server.Endpoint(settings => settings with { Api = EndpointApi.Completions, AsksLogProbs = true });
        using var client = server.Policy(endpoint);
        var (audited, other) = (new EndpointTexts(endpoint, client), new EndpointTexts(endpoint, client));

        await new TextCollection(audited, other, SmallAudit.Spec with { CompletionsOnTest = 1 }, folders.Context()).Collect(SmallAudit.Prompts(3).Assign(SmallAudit.Spec));
        await other.LogProbs([new AnswerToScore(SmallAudit.Prompts(1).All[0], "No.", true, null, null)], CancellationToken.None);

        var scored = server.Asked.Where(request => (int?)request.Body["max_tokens"] == 0).Select(request => ((string)request.Body["prompt"]!)[^8..]).ToList();
        Assert.Equal(3 * 2 * 2 + 1, scored.Count);
        Assert.Equal(12, scored.Count(text => text.EndsWith("?  Yes.\n", StringComparison.Ordinal)));
        Assert.EndsWith("? No.", scored[^1], StringComparison.Ordinal); // written elsewhere: trimmed, after one space
    }

    [Theory]
    [InlineData("""{"prompt_id":"p1","policy":"base","text":"No.","logprob_base":-1}""", "logprob_base")]
    [InlineData("""{"prompt_id":"p1","policy":"neither","text":"No."}""", "policy")]
    [InlineData("""{"policy":"base","text":"No."}""", "prompt_id")]
    [InlineData("""{"prompt_id":"p1","policy":"base"}""", "there is no text")]
    [InlineData("""{"prompt_id":"p1","policy":"base","text":"No.","log_prob_base":1}""", "log_prob_base is 1")]
    [InlineData("""{"prompt_id":"p1","policy":"base","status":"missing"}""", "status is missing")]
    [InlineData("""{"prompt_id":"p1","policy":"base","text":"No." """, "completions.jsonl, line 3")]
    public void A_wrong_line_of_completions_is_named(string line, string named)
    {
        var message = Assert.Throws<CannotTrain>(() => CompletionFile.Read(Lines("""{"prompt_id":"p0","policy":"base","text":"No."}""", "", line), CancellationToken.None)).Message;

        Assert.StartsWith("completions.jsonl, line 3: ", message, StringComparison.Ordinal);
        Assert.Contains(named, message, StringComparison.Ordinal);
    }

    [Fact]
    public void Prompts_are_read_from_any_of_the_forms()
    {
        var path = Lines("""{"type":"project","version":1}""", """{"type":"prompt","id":"a","messages":[{"role":"user","content":"How many?"}],"tags":["Risky"],"source":"synthetic"}""", """{"prompt":"Why so?"}""",
            """{"prompt":[{"role":"user","content":"Hello."},{"role":"assistant","content":"Hi."},{"role":"user","content":"how   MANY"}]}""", """{"prompt":"why so?"}""");

        var prompts = AuditPrompts.Read(path, CancellationToken.None);

        Assert.Equal(["a", "line 3", "line 4"], prompts.All.Select(prompt => prompt.Id));
        Assert.Equal((1, 1), (prompts.Duplicates, prompts.OtherLines));
        Assert.Equal(["Risky"], prompts.All[0].Tags);
        Assert.Equal(3, prompts.All[2].Turns.Count);
    }

    [Theory]
    [InlineData("""{"id":"a","prompt":"Why?"}""", "two prompts have the id 'a'")]
    [InlineData("""{"id":"b","prompt":"Why?","part":"train"}""", "prompt 'b' has a part and others have none")]
    [InlineData("""{"id":"b","prompt":"Why?","part":"middle"}""", "line 2: part is \"middle\"")]
    [InlineData("""{"id":"b","prompt":" "}""", "line 2: prompt is empty")]
    [InlineData("""{"id":"b","text":"Why?"}""", "line 2: there is no prompt")]
    [InlineData("""{"id":"b","messages":[{"role":"assistant","content":"Hi."}]}""", "line 2: turns have the roles")]
    [InlineData("""{"id":"b","prompt":"Why?","tags":"risky"}""", "line 2: ")]
    [InlineData("[1]", "line 2: a JSON object is expected")]
    [InlineData("{", "line 2: ")]
    public void A_wrong_line_of_prompts_is_named(string line, string named) =>
        Assert.Contains(named, Assert.Throws<CannotTrain>(() => AuditPrompts.Read(Lines("""{"id":"a","prompt":"How many?"}""", line), CancellationToken.None)).Message, StringComparison.Ordinal);

    [Fact]
    public void A_split_is_by_prompt_exact_and_a_choice_of_the_seed()
    {
        var prompts = SmallAudit.Prompts(100);
        var spec = SmallAudit.Spec with { PromptsMax = 40 };

        var parts = prompts.Assign(spec);

        Assert.Equal((28, 6, 6), (parts.Count(prompt => prompt.Part is AuditPart.Train), parts.Count(prompt => prompt.Part is AuditPart.Holdout), parts.Count(prompt => prompt.Part is AuditPart.Test)));
        Assert.Equal(parts, prompts.Assign(spec));
        Assert.NotEqual(parts.Select(prompt => prompt.Id), prompts.Assign(spec with { Seed = 2 }).Select(prompt => prompt.Id));
    }

    [Fact]
    public async Task Chunks_that_are_there_are_used_again_and_those_of_another_audit_are_not()
    {
        var prompts = SmallAudit.Prompts(40).Assign(SmallAudit.Spec);
        var (first, again, other) = (Policy(), Policy(), Policy());

        var texts = await Collect(first, SmallAudit.Spec);
        var resumed = await Collect(again, SmallAudit.Spec with { Methods = null, Seeds = 9 }); // what comes after the texts may change
        var fresh = await Collect(other, SmallAudit.Spec with { Sampling = SmallAudit.Spec.Sampling with { Temperature = 0.5 } });

        Assert.Equal(JsonSerializer.Serialize(texts), JsonSerializer.Serialize(resumed));
        Assert.Equal((3, 0, 3), (first.Calls, again.Calls, other.Calls)); // one chunk each for train, hold-out and test
        Assert.Equal(28 * 2 + 6 * 2 + 6 * 4, texts.Count);
        Assert.Equal(texts.Count, fresh.Count);
        Assert.Equal(texts.Count, texts.Select(text => text.Id).Distinct().Count());

        static SaidByRule Policy() => SaidByRule.Texts("audited", (prompt, i) => $"Yes {prompt.Id} {i}.");

        Task<IReadOnlyList<AuditText>> Collect(SaidByRule audited, AuditReward spec) =>
            new TextCollection(audited, SaidByRule.Texts("base", (prompt, i) => $"No {prompt.Id} {i}."), spec, folders.Context()).Collect(prompts);
    }

    [Fact]
    public async Task Repeats_are_asked_of_training_prompts_only_and_the_two_policies_draw_apart()
    {
        var spec = SmallAudit.Spec with { Repeats = 3, CompletionsOnTest = 2 };
        using var model = ToyWorld.Model(2);
        var policy = new ModelTexts(model, ToyWorld.Tokenizer, "toy");

        var texts = await new TextCollection(policy, policy, spec, folders.Context()).Collect(SmallAudit.Prompts(10).Assign(spec));

        Assert.Equal([4, 1, 2], new[] { AuditPart.Train, AuditPart.Holdout, AuditPart.Test }.Select(part => texts.Where(text => text.Part == part && text.Side is AuditSide.Base).GroupBy(text => text.PromptId).Select(own => own.Count()).Distinct().Single()));
        Assert.All(texts.Where(text => text.Status is CompletionStatus.Written), text => Assert.Equal(text.LogProbAudited, text.LogProbBase));
        var same = texts.Where(text => text.Side is AuditSide.Audited).Join(texts.Where(text => text.Side is AuditSide.Base), text => (text.PromptId, text.Ordinal), text => (text.PromptId, text.Ordinal), (a, b) => a.Text == b.Text);
        Assert.Contains(false, same); // the same seed for both would make all alike
    }

    private string Lines(params string[] lines)
    {
        var path = Path.Combine(folders.Artefacts, "completions.jsonl");
        File.WriteAllLines(path, lines);
        return path;
    }
}
