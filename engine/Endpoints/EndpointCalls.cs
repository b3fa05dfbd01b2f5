using System.Diagnostics.CodeAnalysis;
using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using Polly;
using Polly.Retry;
using Polly.Timeout;
using Portal.Data.Endpoints;
using Portal.Data.Serving;

namespace Portal.Engine.Endpoints;

/// <summary>
/// Sends requests to one endpoint: so many at once, each with a time limit, tried again where that can help (time limits, broken connections, 408, 425, 429 and
/// 5xx, waiting as long as Retry-After asks), and no more at all once too many in a row have failed.
/// </summary>
internal sealed class EndpointCalls : IDisposable
{
    private const double BackoffSecondsMax = 30;

    private readonly PolicyEndpoint endpoint;
    private readonly EndpointAddress address;
    private readonly EndpointKey? key;
    private readonly EndpointLimits limits;
    private readonly HttpClient http;
    private readonly SemaphoreSlim places;
    private readonly ResiliencePipeline<Attempt> pipeline;
    private int requests, retries, failuresInARow;

    /// <summary>One try.</summary>
    /// <param name="Json">The answer; null where it failed.</param>
    /// <param name="Problem">Why it failed.</param>
    /// <param name="MayHelp">Trying again may help.</param>
    /// <param name="Wait">How long the endpoint asks to wait; null where it does not say.</param>
    private sealed record Attempt(JsonDocument? Json, string? Problem = null, bool MayHelp = false, TimeSpan? Wait = null);

    public EndpointCalls(PolicyEndpoint endpoint, EndpointKey? key, AddressGuard guard, EndpointNetwork network, EndpointLimits limits, TimeProvider time)
    {
        (this.endpoint, this.key, this.limits) = (endpoint, key, limits);
        address = EndpointAddress.Parse(endpoint.BaseUrl).Value; // stored addresses were checked
        if (key is not null && !address.IsEncrypted && !guard.Allows(address))
            throw new EndpointRefused($"{endpoint.BaseUrl} is not encrypted, and the key would go over the wire for everybody to read, so nothing was sent. Use https, or let the operator of this machine start the engine with {AddressGuard.Variable}={address.HostAndPort}.");
        http = GuardedHttp.Create(address, guard, network, endpoint.ParallelRequests);
        places = new SemaphoreSlim(endpoint.ParallelRequests);
        pipeline = PipelineOf(time);
    }

    /// <summary>Requests sent so far, and how many of them were tries after the first.</summary>
    public (int Requests, int Retries) Sent => (Volatile.Read(ref requests), Volatile.Read(ref retries));

    /// <summary>Why nothing is sent any more; null while it is.</summary>
    public string? Stopped { get; private set; }

    /// <summary>Asks one of the doors and hands the answer to a reader.</summary>
    /// <param name="read">Takes what it needs from the answer, which lives no longer; a text is why it cannot be used.</param>
    /// <returns>What was read, or why there is nothing.</returns>
    /// <exception cref="CannotTrain">Too many requests in a row have failed, or the address may not be asked; the message says which.</exception>
    public async Task<(T? Answer, string? Problem)> Ask<T>(string door, GenerationSettings body, Func<JsonElement, (T? Answer, string? Problem)> read, CancellationToken stop) where T : class
    {
        var bytes = JsonSerializer.SerializeToUtf8Bytes(body, body.GetType(), ServingJson.Options);
        await places.WaitAsync(stop);
        try
        {
            if (Stopped is { } reason)
                throw new CannotTrain(reason);
            var (answer, problem) = Read(await Try(door, bytes, stop), read);
            Count(problem);
            return (answer, problem);
        }
        catch (EndpointRefused refused)
        {
            Stopped ??= refused.Message;
            throw new CannotTrain(refused.Message, refused);
        }
        finally
        {
            places.Release();
        }
    }

    public void Dispose()
    {
        http.Dispose();
        places.Dispose();
    }

    private static (T? Answer, string? Problem) Read<T>(Attempt attempt, Func<JsonElement, (T? Answer, string? Problem)> read) where T : class
    {
        if (attempt.Json is not { } json)
            return (null, attempt.Problem);
        using (json)
        {
            try
            {
                return read(json.RootElement);
            }
            catch (InvalidOperationException)
            {
                return (null, "The answer holds a text that is not valid Unicode."); // half a surrogate pair
            }
        }
    }

    /// <summary>Requests run beside each other: which of them was last is as good as the order in which they ended.</summary>
    private void Count(string? problem)
    {
        if (problem is null)
        {
            Volatile.Write(ref failuresInARow, 0);
            return;
        }
        if (Interlocked.Increment(ref failuresInARow) < limits.ConsecutiveFailuresMax)
            return;
        Stopped ??= $"The endpoint \"{endpoint.Name}\" failed {limits.ConsecutiveFailuresMax} times in a row, so it is asked no more. The last time: {problem} Look at its page, try it there, then start again.";
        throw new CannotTrain(Stopped);
    }

    private async Task<Attempt> Try(string door, byte[] body, CancellationToken stop)
    {
        try
        {
            return await pipeline.ExecuteAsync(token => new ValueTask<Attempt>(Send(door, body, token)), stop);
        }
        catch (TimeoutRejectedException)
        {
            return new Attempt(null, $"No whole answer came within {TimeoutSeconds:0.#} s.");
        }
    }

    private double TimeoutSeconds => Math.Min(limits.TimeoutSeconds ?? endpoint.TimeoutSeconds, endpoint.TimeoutSeconds);

    private ResiliencePipeline<Attempt> PipelineOf(TimeProvider time)
    {
        var builder = new ResiliencePipelineBuilder<Attempt> { TimeProvider = time };
        if ((limits.Retries ?? endpoint.Retries) is > 0 and var times)
            builder.AddRetry(new RetryStrategyOptions<Attempt>
            {
                MaxRetryAttempts = times,
                BackoffType = DelayBackoffType.Exponential,
                UseJitter = true,
                Delay = TimeSpan.FromSeconds(limits.BackoffSeconds),
                MaxDelay = TimeSpan.FromSeconds(BackoffSecondsMax),
                ShouldHandle = outcome => ValueTask.FromResult(outcome.Outcome is { Exception: TimeoutRejectedException } or { Result.MayHelp: true }),
                // All who wait were told the same time: a little apart, so that they do not come back at one instant.
                DelayGenerator = outcome => ValueTask.FromResult(outcome.Outcome.Result?.Wait is { } wait ? wait + TimeSpan.FromMilliseconds(Random.Shared.Next(0, 250)) : (TimeSpan?)null),
                OnRetry = _ =>
                {
                    Interlocked.Increment(ref retries);
                    return default;
                },
            });
        return builder.AddTimeout(TimeSpan.FromSeconds(TimeoutSeconds)).Build();
    }

    private async Task<Attempt> Send(string door, byte[] body, CancellationToken stop)
    {
        Interlocked.Increment(ref requests);
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, address.Door(door)) { Content = new ByteArrayContent(body) };
            request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
            request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("application/json"));
            request.Headers.UserAgent.Add(new ProductInfoHeaderValue("Portal", null));
            if (key is not null)
                request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", key.Reveal());
            using var response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, stop);
            if ((int)response.StatusCode is >= 300 and < 400)
                return new Attempt(null, $"It answered with a redirect ({(int)response.StatusCode}), and redirects are not followed. Give the address that it leads to, if you trust it.");
            var read = await ReadBody(response, stop);
            if (!response.IsSuccessStatusCode)
                return Failed(response, read);
            return read is null
                ? new Attempt(null, $"Its answer is larger than {limits.ResponseBytesMax / 1024} KiB.")
                : Parse(read, out var json) ? new Attempt(json) : new Attempt(null, "Its answer is no JSON, or JSON that is nested too deep.");
        }
        catch (HttpRequestException e) when (e.InnerException is EndpointRefused refused)
        {
            throw new EndpointRefused(refused.Message);
        }
        catch (HttpRequestException e)
        {
            return new Attempt(null, Cover($"The connection to {address.HostAndPort} failed: {Reason(e)}"), MayHelp: true);
        }
        catch (IOException e)
        {
            return new Attempt(null, Cover($"The connection to {address.HostAndPort} broke off: {e.Message.TrimEnd('.')}."), MayHelp: true);
        }
    }

    private static string Reason(HttpRequestException e) => e.HttpRequestError switch
    {
        HttpRequestError.NameResolutionError => "the name is not known.",
        HttpRequestError.SecureConnectionError => "no secure connection (TLS) could be made.",
        HttpRequestError.ConfigurationLimitExceeded => "the headers of its answer are too large.",
        _ => $"{(e.InnerException ?? e).Message.TrimEnd('.')}.",
    };

    private Attempt Failed(HttpResponseMessage response, byte[]? body)
    {
        string? says = null;
        if (body is not null && Parse(body, out var json))
            using (json)
                says = SaidIn(json.RootElement);
        var status = (int)response.StatusCode;
        var what = response.StatusCode switch
        {
            HttpStatusCode.Unauthorized or HttpStatusCode.Forbidden => key is null ? $"It asks for a key ({status})." : $"It refused the key ({status}).",
            HttpStatusCode.NotFound => "It knows no such address or model (404).",
            HttpStatusCode.TooManyRequests => "It is asked too often (429).",
            _ => status >= 500 ? $"It failed ({status})." : $"It refused the request ({status}).",
        };
        var mayHelp = status is 408 or 425 or 429 or >= 500;
        var wait = mayHelp ? WaitOf(response.Headers.RetryAfter, response.Headers.Date) : null;
        if (wait is { } asked && asked.TotalSeconds > limits.RetryAfterSecondsMax)
            (what, mayHelp, wait) = ($"{what} It asks to come back in {asked.TotalSeconds:F0} s, which is not waited for.", false, null);
        return new Attempt(null, says is null ? what : $"{what} It says: {says}", mayHelp, wait);
    }

    private string? SaidIn(JsonElement root)
    {
        try
        {
            return EndpointReader.Error(root, Cover);
        }
        catch (InvalidOperationException)
        {
            return null; // no Unicode; the status has to do
        }
    }

    /// <summary>Seconds, or a date, which is compared with the server's own clock.</summary>
    private static TimeSpan? WaitOf(RetryConditionHeaderValue? after, DateTimeOffset? serverTime) => after switch
    {
        { Delta: { } delta } => delta,
        { Date: { } date } when serverTime is { } now => date > now ? date - now : TimeSpan.Zero,
        _ => null,
    };

    /// <returns>Null where it is larger than it may be.</returns>
    private async Task<byte[]?> ReadBody(HttpResponseMessage response, CancellationToken stop)
    {
        if (response.Content.Headers.ContentLength > limits.ResponseBytesMax)
            return null;
        await using var stream = await response.Content.ReadAsStreamAsync(stop);
        using var body = new MemoryStream();
        var chunk = new byte[16 * 1024];
        for (int count; (count = await stream.ReadAsync(chunk, stop)) > 0;)
        {
            if (body.Length + count > limits.ResponseBytesMax)
                return null;
            body.Write(chunk, 0, count);
        }
        return body.ToArray();
    }

    private static bool Parse(byte[] body, [NotNullWhen(true)] out JsonDocument? json)
    {
        try
        {
            json = JsonDocument.Parse(body, EndpointReader.Options);
            return true;
        }
        catch (JsonException)
        {
            json = null;
            return false;
        }
    }

    private string Cover(string text) => key?.Cover(text) ?? text;
}
