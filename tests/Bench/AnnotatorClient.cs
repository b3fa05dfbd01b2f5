using System.Diagnostics;
using System.Net;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Portal.Data;

namespace Portal.Bench;

/// <summary>A judgement the portal has acknowledged.</summary>
/// <param name="Milliseconds">From sending it to having read the receipt.</param>
public sealed record Acknowledged(JudgementId Judgement, AssignmentId Assignment, double Milliseconds);

/// <summary>
/// One annotator's browser, as annotate.js behaves: signs in by the form, asks for a task, opens its page, submits with a judgement id of its
/// own and the page's antiforgery token, and goes on to the task that the receipt names. One connection, one cookie jar.
/// </summary>
/// <remarks>
/// The portal takes 20 sign-ins a minute from an address; so annotators come from different loopback addresses (127.0.0.2 and up), 10 from
/// each. Everything stays on this machine.
/// </remarks>
public sealed partial class AnnotatorClient : IDisposable
{
    private const int PerAddress = 10;

    private readonly HttpClient http;
    private readonly ProjectId project;
    private readonly string name;
    private string token = "";
    private string? preferred;
    private AssignmentId? assignment;
    private (JudgementId Id, JsonObject Body)? last;

    /// <param name="number">0, 1, 2 ...: decides the address it comes from.</param>
    public AnnotatorClient(Uri portal, ProjectId project, string name, int number)
    {
        (this.project, this.name) = (project, name);
        var from = new IPEndPoint(new IPAddress([127, 0, 0, (byte)(2 + number / PerAddress % 250)]), 0);
        http = new HttpClient(new SocketsHttpHandler
        {
            CookieContainer = new CookieContainer(), AllowAutoRedirect = false, UseProxy = false, MaxConnectionsPerServer = 1,
            PooledConnectionIdleTimeout = TimeSpan.FromMinutes(30),
            ConnectCallback = async (context, stop) =>
            {
                var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
                try
                {
                    socket.Bind(from);
                    await socket.ConnectAsync(context.DnsEndPoint.Host, context.DnsEndPoint.Port, stop);
                    return new NetworkStream(socket, ownsSocket: true);
                }
                catch
                {
                    socket.Dispose();
                    throw;
                }
            },
        })
        { BaseAddress = portal, Timeout = TimeSpan.FromSeconds(60) };
    }

    /// <summary>Signs in by the page's form and takes the first task.</summary>
    /// <exception cref="InvalidOperationException">The portal answered otherwise; the message says how.</exception>
    public async Task SignIn(string password, CancellationToken stop)
    {
        var page = await http.GetStringAsync("/sign-in", stop);
        var form = Hidden().Matches(page).ToDictionary(match => match.Groups[1].Value, match => WebUtility.HtmlDecode(match.Groups[2].Value));
        form["Input.Name"] = name;
        form["Input.Password"] = password;
        using var answer = await http.PostAsync("/sign-in", new FormUrlEncodedContent(form), stop);
        if (answer.StatusCode is not HttpStatusCode.Redirect)
            throw new InvalidOperationException($"{name} could not sign in: {(int)answer.StatusCode}.");
        await TakeTask(stop);
    }

    /// <summary>Leases a task where none is open, and opens its page: what the next <see cref="Submit"/> needs.</summary>
    public async Task Open(CancellationToken stop)
    {
        if (assignment is null)
            await TakeTask(stop);
        var page = await http.GetStringAsync($"/annotate/{project}/{assignment}", stop);
        token = TokenOf(page);
        preferred = Preferred().Match(page) is { Success: true } match ? match.Groups[1].Value
            : throw new InvalidOperationException($"The page of assignment {assignment} offers no verdict.");
    }

    /// <summary>Submits a verdict on the open page; the receipt's next task is open to be looked at then.</summary>
    /// <exception cref="InvalidOperationException">Refused, or the receipt is about something else.</exception>
    public async Task<Acknowledged> Submit(CancellationToken stop)
    {
        var (id, about, body) = Verdict();
        var begin = Stopwatch.GetTimestamp();
        var receipt = await Send(id, body, stop);
        var milliseconds = Stopwatch.GetElapsedTime(begin).TotalMilliseconds;
        return receipt["replayed"]?.GetValue<bool>() is false ? new Acknowledged(id, about, milliseconds)
            : throw new InvalidOperationException($"The receipt of judgement {id} is {receipt.ToJsonString()}.");
    }

    /// <summary>
    /// <see cref="Open"/> and <see cref="Submit"/> while the portal comes and goes: the same judgement again, under the same id, until there is a
    /// receipt, as the browser's outbox does. The receipt may then be about a repetition.
    /// </summary>
    public async Task<Acknowledged> SubmitUntilAcknowledged(CancellationToken stop)
    {
        await UntilAnswered(() => Open(stop), stop);
        var (id, about, body) = Verdict();
        await UntilAnswered(() => Send(id, body, stop), stop);
        return new Acknowledged(id, about, double.NaN);
    }

    /// <summary>Calls again after each failure of the connection; an answer of the portal, a refusal too, ends it.</summary>
    private static async Task UntilAnswered(Func<Task> call, CancellationToken stop)
    {
        while (true)
        {
            try
            {
                await call();
                return;
            }
            catch (HttpRequestException e) when (e.StatusCode is null) // no answer at all
            {
                await Task.Delay(100, stop);
            }
        }
    }

    private (JudgementId Id, AssignmentId About, JsonObject Body) Verdict()
    {
        var (id, about) = (new JudgementId(Guid.NewGuid()), assignment!.Value); // Open came before
        var choice = preferred!.Split(':'); // "prefer:STRENGTH:ID", matched by Open
        var body = new JsonObject
        {
            ["judgementId"] = $"{id}", ["assignmentId"] = $"{about}", ["verdict"] = "preferred", ["preferredResponseId"] = choice[2], ["strength"] = int.Parse(choice[1], null),
            ["reasons"] = new JsonArray(), ["rationale"] = null, ["layout"] = "side-by-side", ["visibleSeconds"] = 1.0, ["clientTime"] = TimeProvider.System.GetUtcNow().ToString("O"),
            ["usedDifferences"] = false, ["usedRaw"] = false,
        };
        return (id, about, body);
    }

    /// <summary>Posts a judgement; its receipt's next task is this annotator's next.</summary>
    private async Task<JsonNode> Send(JudgementId id, JsonObject body, CancellationToken stop)
    {
        var receipt = await Post("/api/v1/judgements", body, stop);
        if (receipt["judgementId"]?.GetValue<string>() != $"{id}")
            throw new InvalidOperationException($"The receipt of judgement {id} is {receipt.ToJsonString()}.");
        last = (id, body);
        assignment = receipt["next"]?["assignmentId"]?.GetValue<string>() is { } next ? AssignmentId.Parse(next, null) : null;
        return receipt;
    }

    /// <summary>Sends the last judgement again, as a browser does that has lost the receipt; it must be answered as a repetition.</summary>
    public async Task Replay(CancellationToken stop)
    {
        if (last is not { } sent)
            return;
        var receipt = await Post("/api/v1/judgements", sent.Body, stop);
        if (receipt["judgementId"]?.GetValue<string>() != $"{sent.Id}" || receipt["replayed"]?.GetValue<bool>() is not true)
            throw new InvalidOperationException($"Judgement {sent.Id}, sent again, was answered with {receipt.ToJsonString()}.");
    }

    public void Dispose() => http.Dispose();

    private async Task TakeTask(CancellationToken stop)
    {
        token = TokenOf(await http.GetStringAsync($"/annotate/{project}", stop));
        var taken = await Post("/api/v1/assignments", new JsonObject { ["projectId"] = $"{project}", ["kind"] = "pairwise" }, stop);
        assignment = taken["assignmentId"]?.GetValue<string>() is { } id ? AssignmentId.Parse(id, null)
            : throw new InvalidOperationException($"There is no task left for {name}: the bench has to lay out more.");
    }

    private async Task<JsonNode> Post(string path, JsonObject body, CancellationToken stop)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = JsonContent.Create(body) };
        request.Headers.Add("RequestVerificationToken", token);
        using var answer = await http.SendAsync(request, stop);
        var text = await answer.Content.ReadAsStringAsync(stop);
        return answer.IsSuccessStatusCode && JsonNode.Parse(text) is { } json ? json
            : throw new InvalidOperationException($"POST {path} of {name} was answered with {(int)answer.StatusCode}: {text}");
    }

    private static string TokenOf(string page) => Token().Match(page) is { Success: true } match ? match.Groups[1].Value
        : throw new InvalidOperationException("The page holds no antiforgery token; is the annotator still signed in?");

    [GeneratedRegex("name=\"__RequestVerificationToken\"[^>]*value=\"([^\"]+)\"")]
    private static partial Regex Token();

    [GeneratedRegex("<input type=\"hidden\" name=\"([^\"]+)\" value=\"([^\"]*)\"")]
    private static partial Regex Hidden();

    [GeneratedRegex("value=\"(prefer:[123]:[0-9a-f-]{36})\"")]
    private static partial Regex Preferred();
}
