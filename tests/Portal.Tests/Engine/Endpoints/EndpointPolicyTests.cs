using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Portal.Data.Endpoints;
using Portal.Data.Feedback;
using Portal.Engine;
using Portal.Engine.Endpoints;
using Xunit;

namespace Portal.Tests.Engine.Endpoints;

/// <summary>The client against a server that answers, refuses, hangs, lies and repeats what it was sent. What is expected is what the server was told to do.</summary>
public sealed class EndpointPolicyTests : IAsyncLifetime
{
    private static readonly EndpointSampling One = new() { Completions = 1 };
    private EndpointServer server = default!; // set before each test

    public async Task InitializeAsync() => server = await EndpointServer.Start();

    public async Task DisposeAsync() => await server.DisposeAsync();

    [Theory]
    [InlineData(EndpointApi.ChatCompletions, "/v1/chat/completions", EndpointFinish.Stop)]
    [InlineData(EndpointApi.Completions, "/v1/completions", EndpointFinish.Length)]
    public async Task What_is_asked_reaches_the_server_and_what_it_says_comes_back_in_order(EndpointApi api, string path, EndpointFinish finish)
    {
        using var policy = server.Policy(server.Endpoint(s => s with { Api = api }));
        var sampling = new EndpointSampling { Completions = 3, TokensMax = 12, Temperature = 0.5, TopP = 0.75, Seed = 7, StopAt = ["\n"], LogProbs = true };

        var batch = await policy.Complete(EndpointServer.Prompts(2), sampling, TextOrigin.People, null, default);

        Assert.Equal(new EndpointCounts(6, 6, 0, 0, 0, finish is EndpointFinish.Length ? 6 : 0, 6, 2, 0), batch.Counts); // this server gives no log-probabilities
        Assert.All(batch.Results, result => Assert.Equal(["Answer 0.", "Answer 1.", "Answer 2."], result.Completions.Select(c => c.Text)));
        Assert.All(batch.Results.SelectMany(r => r.Completions), completion => Assert.Equal((finish, EndpointResult.Answered, null), (completion.Finish, completion.Result, completion.Tokens)));
        var asked = server.Asked.OrderBy(request => request.Body.ToJsonString()).First();
        Assert.Equal((path, $"Bearer {EndpointServer.Key}"), (asked.Path, asked.Authorization));
        Assert.Equal(("small", 12, 0.5, 0.75, 3, 7), ((string?)asked.Body["model"], (int?)asked.Body["max_tokens"], (double?)asked.Body["temperature"], (double?)asked.Body["top_p"], (int?)asked.Body["n"], (int?)asked.Body["seed"]));
        Assert.Equal("\n", (string?)asked.Body["stop"]);
        Assert.Equal("Question 0?", api is EndpointApi.Completions ? (string?)asked.Body["prompt"] : (string?)asked.Body["messages"]![0]!["content"]);
        Assert.NotNull(asked.Body["logprobs"]);
        Assert.Empty(asked.Headers.Keys.Intersect(["Cookie", "traceparent", "Referer"], StringComparer.OrdinalIgnoreCase));
    }

    /// <summary>llama.cpp's server and others take no n: the rest is asked for until it is there, with seeds of its own.</summary>
    [Fact]
    public async Task A_server_that_gives_one_at_a_time_is_asked_until_all_are_there()
    {
        server.Answer = (http, _, number) => EndpointServer.Json(http, new { choices = new[] { new { message = new { content = $"Text {number}" }, finish_reason = "stop" } } });
        using var policy = server.Policy();

        var batch = await policy.Complete(EndpointServer.Prompts(1), One with { Completions = 5, Seed = 100 }, TextOrigin.Program, null, default);

        Assert.Equal(5, batch.Counts.Answered);
        Assert.Equal(5, batch.Results[0].Completions.Select(c => c.Text).Distinct().Count());
        Assert.Equal([100L, 101, 102, 103, 104], server.Asked.Select(request => (long)request.Body["seed"]!)); // one after the other
    }

    [Fact]
    public async Task More_than_was_asked_for_is_not_taken() =>
        await WithAnswer("""{"choices":[{"message":{"content":"a"}},{"message":{"content":"b"}},{"message":{"content":"c"}}]}""", batch => Assert.Equal(["a"], batch.Results[0].Completions.Select(c => c.Text)));

    /// <summary>Each answer is counted once, whatever it is.</summary>
    [Fact]
    public async Task Empty_refused_and_missing_answers_are_counted_not_dropped()
    {
        const string Answer = """{"choices":[{"message":{"content":"A text"},"finish_reason":"stop"},{"message":{"content":"  \n"},"finish_reason":"stop"},{"message":{"content":null},"finish_reason":"length"},{"message":{"content":"half of","refusal":null},"finish_reason":"content_filter"},{"message":{"content":null,"refusal":"I would rather not."},"finish_reason":"stop"},{"message":{"content":[{"type":"text","text":"in "},{"type":"text","text":"parts"}]},"finish_reason":"tool_calls"}]}""";
        server.Answer = (http, _, number) => number == 0 ? EndpointServer.Raw(http, Answer) : EndpointServer.Json(http, new { error = new { message = "No more." } }, 400);
        using var policy = server.Policy();

        var batch = await policy.Complete(EndpointServer.Prompts(1), One with { Completions = 8 }, TextOrigin.Program, null, default);

        Assert.Equal(new EndpointCounts(8, 2, 2, 2, 2, 0, 0, 2, 0), batch.Counts);
        var result = batch.Results[0];
        Assert.Equal(["A text", "  \n", "", "half of", "I would rather not.", "in parts"], result.Completions.Select(c => c.Text));
        Assert.Equal([EndpointFinish.Stop, EndpointFinish.Stop, EndpointFinish.Length, EndpointFinish.ContentFilter, EndpointFinish.ContentFilter, EndpointFinish.Other], result.Completions.Select(c => c.Finish));
        Assert.Equal((2, "It refused the request (400). It says: No more."), (result.Failed, result.Problem));
    }

    [Fact]
    public async Task Hostile_text_stays_as_it_is()
    {
        var text = "<script>alert(1)</script>\u202e\u0000\u001b[31m \ud83d\ude00";

        await WithAnswer(JsonSerializer.Serialize(new { choices = new[] { new { message = new { content = text } } } }), batch => Assert.Equal(text, batch.Results[0].Completions[0].Text));
    }

    [Theory]
    [InlineData(EndpointApi.ChatCompletions, """{"choices":[{"message":{"content":"Hi you"},"logprobs":{"content":[{"token":"Hi","logprob":-0.5},{"token":" you","logprob":-1.25}]}}]}""", -1.75)]
    [InlineData(EndpointApi.Completions, """{"choices":[{"text":"Hi you","logprobs":{"tokens":["Hi"," you"],"token_logprobs":[-0.5,-1.25]}}]}""", -1.75)]
    [InlineData(EndpointApi.Completions, """{"choices":[{"text":"Hi you"}]}""", null)]
    [InlineData(EndpointApi.Completions, """{"choices":[{"text":"Hi you","logprobs":null}]}""", null)]
    [InlineData(EndpointApi.Completions, """{"choices":[{"text":"Hi you","logprobs":{"tokens":["Hi"," you"],"token_logprobs":[-0.5]}}]}""", null)]
    [InlineData(EndpointApi.Completions, """{"choices":[{"text":"Hi you","logprobs":{"tokens":["Hi"," you"],"token_logprobs":[-0.5,0.7]}}]}""", null)]
    [InlineData(EndpointApi.Completions, """{"choices":[{"text":"Hi you","logprobs":{"tokens":["Hi"," you"],"token_logprobs":[-0.5,null]}}]}""", null)]
    [InlineData(EndpointApi.Completions, """{"choices":[{"text":"Hi you","logprobs":{"tokens":["Hi"," you"],"token_logprobs":[-0.5,"-1"]}}]}""", null)]
    [InlineData(EndpointApi.ChatCompletions, """{"choices":[{"message":{"content":"Hi"},"logprobs":{"content":null}}]}""", null)]
    [InlineData(EndpointApi.ChatCompletions, """{"choices":[{"message":{"content":"Hi"},"logprobs":{"content":[{"token":"Hi"}]}}]}""", null)]
    public async Task Log_probabilities_are_summed_where_they_are_whole_and_counted_as_missing_where_not(EndpointApi api, string answer, double? sum)
    {
        server.Answer = (http, _, _) => EndpointServer.Raw(http, answer);
        using var policy = server.Policy(server.Endpoint(s => s with { Api = api }));

        var batch = await policy.Complete(EndpointServer.Prompts(1), One with { LogProbs = true }, TextOrigin.Program, null, default);

        Assert.Equal(sum, batch.Results[0].Completions[0].LogProb);
        Assert.Equal((1, sum is null ? 1 : 0), (batch.Counts.Answered, batch.Counts.WithoutLogProbs));
    }

    [Theory]
    [InlineData("", "no JSON")]
    [InlineData("<html>Bad gateway</html>", "no JSON")]
    [InlineData("""{"choices":[{"message":{"content":"cut o""", "no JSON")]
    [InlineData("[]", "no list of choices")]
    [InlineData("{}", "no list of choices")]
    [InlineData("""{"choices":{}}""", "no list of choices")]
    [InlineData("""{"choices":[]}""", "empty list of choices")]
    [InlineData("""{"choices":[{"message":{"content":"\ud800"}}]}""", "not valid Unicode")]
    [InlineData("DEEP", "nested too deep")]
    public async Task An_answer_that_cannot_be_used_is_a_failure_with_its_reason(string answer, string reason) =>
        await WithAnswer(answer == "DEEP" ? "{\"choices\":[{\"message\":{\"content\":\"a\",\"more\":" + new string('[', 200) + new string(']', 200) + "}}]}" : answer, batch =>
        {
            Assert.Equal((1, 0, 1), (batch.Counts.Failed, batch.Counts.Answered, batch.Counts.Wanted));
            Assert.Contains(reason, batch.Results[0].Problem, StringComparison.Ordinal);
        });

    [Fact]
    public async Task Too_often_is_waited_out_as_long_as_the_server_asks()
    {
        server.Answer = (http, request, number) =>
        {
            if (number > 0)
                return EndpointServer.Json(http, EndpointServer.Choices(request));
            http.Response.Headers.RetryAfter = "1";
            return EndpointServer.Json(http, new { error = "Slow down." }, 429);
        };
        using var policy = server.Policy(server.Endpoint(s => s with { Retries = 1 }));
        var watch = Stopwatch.StartNew();

        var batch = await policy.Complete(EndpointServer.Prompts(1), One, TextOrigin.Program, null, default);

        Assert.InRange(watch.Elapsed.TotalSeconds, 1, 15); // the client's own wait would be hundredths
        Assert.Equal((1, 2, 1), (batch.Counts.Answered, batch.Counts.Requests, batch.Counts.Retries));
        Assert.Equal(2, server.Asked.Count);
    }

    [Fact]
    public async Task A_wait_of_an_hour_is_not_waited_for()
    {
        server.Answer = (http, _, _) =>
        {
            http.Response.Headers.RetryAfter = "3600";
            return EndpointServer.Json(http, new { error = new { message = "Quota." } }, 429);
        };
        using var policy = server.Policy(server.Endpoint(s => s with { Retries = 5 }));

        var batch = await policy.Complete(EndpointServer.Prompts(1), One, TextOrigin.Program, null, default);

        Assert.Single(server.Asked);
        Assert.Equal("It is asked too often (429). It asks to come back in 3600 s, which is not waited for. It says: Quota.", batch.Results[0].Problem);
    }

    /// <summary>Two failures, then an answer: three tries suffice, two do not; what cannot get better is not tried again.</summary>
    [Theory]
    [InlineData(500, 2, 3, true)]
    [InlineData(503, 2, 3, true)]
    [InlineData(500, 1, 2, false)]
    [InlineData(400, 5, 1, false)]
    [InlineData(401, 5, 1, false)]
    [InlineData(404, 5, 1, false)]
    public async Task Tries_are_counted_and_end(int status, int retries, int requests, bool answered)
    {
        server.Answer = (http, request, number) => number < 2 ? EndpointServer.Json(http, new { detail = "Not now." }, status) : EndpointServer.Json(http, EndpointServer.Choices(request));
        using var policy = server.Policy(server.Endpoint(s => s with { Retries = retries }));

        var batch = await policy.Complete(EndpointServer.Prompts(1), One, TextOrigin.Program, null, default);

        Assert.Equal(requests, server.Asked.Count);
        Assert.Equal((requests, requests - 1, answered ? 1 : 0, answered ? 0 : 1), (batch.Counts.Requests, batch.Counts.Retries, batch.Counts.Answered, batch.Counts.Failed));
        Assert.Equal(answered, batch.Results[0].Problem is null);
        if (!answered)
            Assert.Contains($"({status})", batch.Results[0].Problem, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_server_that_hangs_or_drips_is_left_at_the_time_limit(bool drips)
    {
        server.Answer = async (http, _, _) =>
        {
            while (true)
            {
                if (drips)
                    await http.Response.WriteAsync(" ", http.RequestAborted);
                await http.Response.Body.FlushAsync(http.RequestAborted);
                await Task.Delay(20, http.RequestAborted);
            }
        };
        using var policy = server.Policy(limits: new EndpointLimits { TimeoutSeconds = 0.4 });
        var watch = Stopwatch.StartNew();

        var batch = await policy.Complete(EndpointServer.Prompts(1), One, TextOrigin.Program, null, default);

        Assert.Equal((1, "No whole answer came within 0.4 s."), (batch.Counts.Failed, batch.Results[0].Problem));
        Assert.InRange(watch.Elapsed.TotalSeconds, 0.4, 15);
    }

    [Fact]
    public async Task Cancelling_ends_at_once_and_is_no_failure_of_the_endpoint()
    {
        using var stop = new CancellationTokenSource();
        server.Answer = async (http, _, _) =>
        {
            await stop.CancelAsync();
            await Task.Delay(Timeout.Infinite, http.RequestAborted);
        };
        using var policy = server.Policy(server.Endpoint(s => s with { Retries = 5, TimeoutSeconds = 600 }));

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => policy.Complete(EndpointServer.Prompts(20), One, TextOrigin.Program, null, stop.Token).WaitAsync(TimeSpan.FromSeconds(30)));
    }

    [Fact]
    public async Task A_redirect_is_not_followed()
    {
        await using var inside = await EndpointServer.Start();
        server.Answer = (http, _, _) =>
        {
            http.Response.Headers.Location = $"http://127.0.0.1:{inside.Port}/v1/chat/completions";
            http.Response.StatusCode = 307;
            return Task.CompletedTask;
        };
        using var policy = server.Policy(guard: new AddressGuard([$"127.0.0.1:{server.Port}", $"127.0.0.1:{inside.Port}"])); // even one that the guard would let pass

        var batch = await policy.Complete(EndpointServer.Prompts(1), One, TextOrigin.Program, null, default);

        Assert.Contains("redirect (307)", batch.Results[0].Problem, StringComparison.Ordinal);
        Assert.Single(server.Asked);
        Assert.Empty(inside.Asked);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_body_without_end_is_not_read_on(bool saysItsLength)
    {
        const int Limit = 64 * 1024;
        long sent = 0;
        server.Answer = async (http, _, _) =>
        {
            if (saysItsLength)
                http.Response.ContentLength = 10L << 30;
            for (var chunk = new byte[16 * 1024]; sent < 1L << 30; sent += chunk.Length)
            {
                await http.Response.Body.WriteAsync(chunk, http.RequestAborted);
                if (sent > 8 << 20)
                    await Task.Delay(1, http.RequestAborted); // what is written to a connection that was just left costs no time, until the server notices
            }
        };
        using var policy = server.Policy(server.Endpoint(s => s with { Retries = 3 }), new EndpointLimits { ResponseBytesMax = Limit });

        var batch = await policy.Complete(EndpointServer.Prompts(1), One, TextOrigin.Program, null, default);

        Assert.Equal("Its answer is larger than 64 KiB.", batch.Results[0].Problem);
        Assert.Single(server.Asked);
        Assert.True(sent < 64 << 20, $"{sent} bytes were taken"); // what the sockets' buffers hold, not a GiB
    }

    [Fact]
    public async Task Never_more_at_once_than_the_endpoint_is_set_to()
    {
        var together = new TaskCompletionSource();
        server.Answer = async (http, request, _) =>
        {
            if (server.MostAtOnce >= 3)
                together.TrySetResult();
            await Task.WhenAny(together.Task, Task.Delay(TimeSpan.FromSeconds(10))); // the first ones wait until three are there
            await Task.Delay(20);
            await EndpointServer.Json(http, EndpointServer.Choices(request));
        };
        using var policy = server.Policy(server.Endpoint(s => s with { ParallelRequests = 3 }));
        var done = new ConcurrentQueue<int>();

        var both = await Task.WhenAll(policy.Complete(EndpointServer.Prompts(12), One, TextOrigin.Program, done.Enqueue, default), policy.Complete(EndpointServer.Prompts(12), One, TextOrigin.Program, null, default));

        Assert.Equal(3, server.MostAtOnce); // of two calls together, and not fewer either
        Assert.All(both, batch => Assert.Equal(12, batch.Counts.Answered));
        Assert.Equal(Enumerable.Range(1, 12), done.Order());
    }

    [Fact]
    public async Task Failures_in_a_row_stop_everything_with_the_last_reason()
    {
        server.Answer = (http, request, number) => number < 10 ? EndpointServer.Json(http, EndpointServer.Choices(request)) : EndpointServer.Json(http, new { error = new { message = "Out of memory." } }, 400);
        using var policy = server.Policy(server.Endpoint(s => s with { ParallelRequests = 2 }), new EndpointLimits { ConsecutiveFailuresMax = 4 });

        var stopped = await Assert.ThrowsAsync<CannotTrain>(() => policy.Complete(EndpointServer.Prompts(500), One, TextOrigin.Program, null, default));

        Assert.Contains("failed 4 times in a row", stopped.Message, StringComparison.Ordinal);
        Assert.Contains("Out of memory.", stopped.Message, StringComparison.Ordinal);
        Assert.True(System.Text.RegularExpressions.Regex.IsMatch(stopped.Message, "1[0-5] of 500 were done"), stopped.Message);
        Assert.InRange(server.Asked.Count, 14, 16); // ten answers, four failures, one that was under way beside each
        var again = await Assert.ThrowsAsync<CannotTrain>(() => policy.Complete(EndpointServer.Prompts(1), One, TextOrigin.Program, null, default));
        Assert.Contains("asked no more", again.Message, StringComparison.Ordinal);
        Assert.InRange(server.Asked.Count, 14, 16);
    }

    /// <summary>The control: as many failures, but never so many in a row.</summary>
    [Fact]
    public async Task Failures_between_answers_stop_nothing_and_are_counted()
    {
        server.Answer = (http, request, number) => number % 2 == 0 ? EndpointServer.Json(http, EndpointServer.Choices(request)) : EndpointServer.Json(http, new { }, 400);
        using var policy = server.Policy(server.Endpoint(s => s with { ParallelRequests = 1 }), new EndpointLimits { ConsecutiveFailuresMax = 2 });

        var batch = await policy.Complete(EndpointServer.Prompts(30), One, TextOrigin.Program, null, default);

        Assert.Equal((30, 15, 15), (batch.Counts.Wanted, batch.Counts.Answered, batch.Counts.Failed));
    }

    [Fact]
    public async Task Texts_of_people_are_not_sent_before_somebody_agreed()
    {
        var endpoint = server.Endpoint(s => s with { Api = EndpointApi.Completions }, consent: false);
        using (var policy = server.Policy(endpoint))
        {
            var refused = await Assert.ThrowsAsync<CannotTrain>(() => policy.Complete(EndpointServer.Prompts(3), One, TextOrigin.People, null, default));
            Assert.Contains("Nobody has agreed", refused.Message, StringComparison.Ordinal);
            await Assert.ThrowsAsync<CannotTrain>(() => policy.Score([(EndpointServer.Prompts(1)[0], "Yes.")], TextOrigin.People, null, default));
            Assert.Empty(server.Asked);
            Assert.Equal(1, (await policy.Complete(EndpointServer.Prompts(1), One, TextOrigin.Program, null, default)).Counts.Answered); // words of no person
        }
        endpoint.GiveConsent(Guid.NewGuid(), DateTimeOffset.UtcNow);
        using var agreed = server.Policy(endpoint);
        Assert.Equal(1, (await agreed.Complete(EndpointServer.Prompts(1), One, TextOrigin.People, null, default)).Counts.Answered); // the control

        endpoint.Retire(DateTimeOffset.UtcNow);
        using var retired = server.Policy(endpoint);
        Assert.Contains("retired", (await Assert.ThrowsAsync<CannotTrain>(() => retired.Complete(EndpointServer.Prompts(1), One, TextOrigin.Program, null, default))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_key_does_not_go_over_an_open_wire_to_the_internet()
    {
        var endpoint = server.Endpoint(url: "http://models.example/v1");

        Assert.Contains("not encrypted", Assert.Throws<CannotTrain>(() => server.Policy(endpoint)).Message, StringComparison.Ordinal);
        server.Policy(endpoint, key: null).Dispose(); // nothing to be read
        server.Policy(server.Endpoint(url: "https://models.example/v1")).Dispose();
        server.Policy(endpoint, guard: new AddressGuard(["models.example:80"])).Dispose(); // the operator says so
    }

    /// <summary>Servers like to repeat what they were sent.</summary>
    [Theory]
    [InlineData(400)]
    [InlineData(401)]
    [InlineData(500)]
    public async Task An_error_that_repeats_the_key_does_not_bring_it_back(int status)
    {
        server.Answer = (http, request, _) => EndpointServer.Json(http, new { error = new { message = $"{new string('x', 280)} bad key {request.Authorization}\nnext line" } }, status);
        using var policy = server.Policy();

        var batch = await policy.Complete(EndpointServer.Prompts(1), One, TextOrigin.Program, null, default);

        Assert.StartsWith($"Bearer {EndpointServer.Key}", server.Asked.Single().Authorization, StringComparison.Ordinal); // the control: it was sent
        Assert.False(HoldsKey($"{batch} {batch.Results[0]} {JsonSerializer.Serialize(batch)}"));
        Assert.DoesNotContain('\n', batch.Results[0].Problem!);
    }

    [Fact]
    public async Task A_text_that_holds_the_key_is_not_kept()
    {
        server.Answer = (http, request, _) => EndpointServer.Json(http, new { choices = new[] { new { message = new { content = $"You sent {request.Authorization}." } } } });
        using var policy = server.Policy();

        var batch = await policy.Complete(EndpointServer.Prompts(1), One, TextOrigin.Program, null, default);

        Assert.Equal(1, batch.Counts.Failed);
        Assert.Contains("holds the key itself", batch.Results[0].Problem, StringComparison.Ordinal);
        Assert.False(HoldsKey(JsonSerializer.Serialize(batch)));
    }

    /// <summary>Every way to fail, and whatever is said about it: the key is in none of it.</summary>
    [Fact]
    public async Task No_exception_holds_the_key()
    {
        server.Answer = (http, request, _) => EndpointServer.Json(http, new { error = request.Authorization }, 400);
        var said = new List<string>();
        using (var policy = server.Policy(limits: new EndpointLimits { ConsecutiveFailuresMax = 1 }))
            said.Add((await Assert.ThrowsAsync<CannotTrain>(() => policy.Complete(EndpointServer.Prompts(2), One, TextOrigin.People, null, default))).ToString());
        using (var policy = server.Policy(server.Endpoint(consent: false)))
            said.Add((await Assert.ThrowsAsync<CannotTrain>(() => policy.Complete(EndpointServer.Prompts(1), One, TextOrigin.People, null, default))).ToString());
        using (var policy = server.Policy(server.Endpoint(url: "https://127.0.0.1:1/v1"), guard: new AddressGuard([])))
            said.Add((await Assert.ThrowsAsync<CannotTrain>(() => policy.Complete(EndpointServer.Prompts(1), One, TextOrigin.People, null, default))).ToString());
        using (var policy = server.Policy(server.Endpoint(url: "http://127.0.0.1:1/v1"), guard: new AddressGuard(["127.0.0.1:1"]))) // nobody listens there
            said.Add((await policy.Complete(EndpointServer.Prompts(1), One, TextOrigin.People, null, default)).Results[0].Problem!); // it failed

        Assert.All(said, text => Assert.False(HoldsKey(text), "the key stands in an error"));
        Assert.Contains("The connection to 127.0.0.1:1 failed", said[^1], StringComparison.Ordinal);
        Assert.True(HoldsKey($"an error about {EndpointServer.Key}")); // the control
    }

    [Fact]
    public async Task A_prompt_of_several_turns_is_not_made_one_text_in_secret()
    {
        using var policy = server.Policy(server.Endpoint(s => s with { Api = EndpointApi.Completions }));

        var batch = await policy.Complete([[new Turn("user", "Hello"), new Turn("assistant", "Yes?"), new Turn("user", "Go on")], [new Turn("user", "Once")]], One, TextOrigin.Program, null, default);

        Assert.Equal((1, 1), (batch.Counts.Failed, batch.Counts.Answered));
        Assert.Contains("3 turns", batch.Results[0].Problem, StringComparison.Ordinal);
        Assert.Single(server.Asked);
    }

    private static bool HoldsKey(string text) => text.Contains(EndpointServer.Key, StringComparison.Ordinal) || text.Contains(EndpointServer.Key[..12], StringComparison.Ordinal);

    private async Task WithAnswer(string answer, Action<EndpointBatch<EndpointCompletions>> check)
    {
        server.Answer = (http, _, _) => EndpointServer.Raw(http, answer);
        using var policy = server.Policy();
        check(await policy.Complete(EndpointServer.Prompts(1), One, TextOrigin.Program, null, default));
    }
}
