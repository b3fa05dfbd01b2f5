using System.Net;
using System.Net.Sockets;
using Portal.Data.Endpoints;

namespace Portal.Engine.Endpoints;

/// <summary>How connections are made; tests put their own in.</summary>
public sealed record EndpointNetwork
{
    /// <summary>The addresses of a name.</summary>
    public Func<string, CancellationToken, Task<IPAddress[]>> Resolve { get; init; } = Dns.GetHostAddressesAsync;

    /// <summary>Opens a connection to an address that was looked at.</summary>
    public Func<IPEndPoint, CancellationToken, Task<Stream>> Connect { get; init; } = ConnectAsync;

    private static async Task<Stream> ConnectAsync(IPEndPoint to, CancellationToken stop)
    {
        var socket = new Socket(to.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(to, stop);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}

/// <summary>An HTTP client that reaches one endpoint's host and nothing else: no redirects, no proxy, no cookies, no packed bodies, connections only to addresses that the guard has looked at.</summary>
internal static class GuardedHttp
{
    private const int HeadersKibMax = 32;

    public static HttpClient Create(EndpointAddress address, AddressGuard guard, EndpointNetwork network, int connectionsMax) => new(new SocketsHttpHandler
    {
        AllowAutoRedirect = false,
        UseProxy = false,
        UseCookies = false,
        AutomaticDecompression = DecompressionMethods.None,
        ActivityHeadersPropagator = null, // nothing about this process goes along
        MaxResponseHeadersLength = HeadersKibMax,
        MaxResponseDrainSize = 0, // a body that is too large is left, not read to its end
        MaxConnectionsPerServer = connectionsMax,
        ConnectTimeout = TimeSpan.FromSeconds(15),
        PooledConnectionLifetime = TimeSpan.FromMinutes(10), // a name that moved is found again
        ConnectCallback = async (context, stop) =>
        {
            if (!string.Equals(context.DnsEndPoint.Host, address.Host, StringComparison.OrdinalIgnoreCase) || context.DnsEndPoint.Port != address.Port)
                throw new EndpointRefused($"A request for {address.HostAndPort} was about to leave for another host.");
            var found = await guard.Resolve(address, network.Resolve, stop);
            for (var next = 0; ; next++)
            {
                try
                {
                    return await network.Connect(new IPEndPoint(found[next], address.Port), stop);
                }
                catch (SocketException) when (next + 1 < found.Count)
                {
                    // The next of its machines may answer; each was looked at.
                }
            }
        },
    })
    {
        Timeout = Timeout.InfiniteTimeSpan, // each request has its own limit
    };
}
