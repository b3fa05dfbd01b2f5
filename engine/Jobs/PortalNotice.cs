using System.Net.Http.Headers;
using System.Net.Http.Json;
using Portal.Data;
using Portal.Data.Serving;

namespace Portal.Engine.Jobs;

/// <summary>
/// Tells the portal that rows of a job have changed. It only says "look": without a portal, or with one that does not answer, nothing is
/// lost, since the portal also looks by itself.
/// </summary>
/// <param name="address">The portal's address (`--notify`); null for none.</param>
/// <param name="token">The token of the data directory.</param>
public sealed class PortalNotice(Uri? address, string token) : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    private readonly HttpClient? http = address is null
        ? null
        : new HttpClient { BaseAddress = address, Timeout = Patience };

    /// <summary>Sends the notice; whatever goes wrong is no one's concern, except that <paramref name="stop"/> ends it.</summary>
    public async Task Send(JobId job, CancellationToken stop)
    {
        if (http is null)
            return;
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Post, EngineNotice.Route) { Content = JsonContent.Create(new EngineNotice(job)) };
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
            using var response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, stop);
        }
        catch (HttpRequestException)
        {
            // No portal just now.
        }
        catch (OperationCanceledException) when (!stop.IsCancellationRequested)
        {
            // A portal that is too busy to answer in time.
        }
    }

    public void Dispose() => http?.Dispose();
}
