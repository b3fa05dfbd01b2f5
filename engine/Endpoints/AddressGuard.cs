using System.Net;
using System.Net.Sockets;
using Portal.Data.Endpoints;

namespace Portal.Engine.Endpoints;

/// <summary>
/// Which machines an endpoint may be: public ones. An address that leads into this machine or its network is refused, whatever name it goes by, unless the
/// operator allows that host and port by name. Nothing of it can be set from the web.
/// </summary>
/// <remarks>
/// A name is resolved once a connection, and the connection goes to an address that was looked at: a name that answers something else the next time gains
/// nothing. One private address among several refuses the name: an honest service has none. IPv6 is refused but for global unicast (2000::/3) without the
/// blocks that embed IPv4 or are set aside (IANA's registries of special-purpose addresses).
/// </remarks>
public sealed class AddressGuard
{
    /// <summary>The environment variable an operator sets: host:port, several with commas between them.</summary>
    public const string Variable = "PORTAL_ENDPOINTS_ALLOW";

    private static readonly IReadOnlyList<IPNetwork> Refused =
    [
        .. new[]
        {
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24",
            "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
            "2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
        }.Select(network => IPNetwork.Parse(network)),
    ];

    private static readonly IPNetwork GlobalUnicast = IPNetwork.Parse("2000::/3");

    private readonly HashSet<string> allowed;

    /// <param name="allowed">host:port, as <see cref="EndpointAddress.HostAndPort"/> writes them; case is ignored.</param>
    public AddressGuard(IEnumerable<string> allowed) => this.allowed = new HashSet<string>(allowed, StringComparer.OrdinalIgnoreCase);

    /// <summary>What the operator allows, in order.</summary>
    public IReadOnlyList<string> Allowed => [.. allowed.Order(StringComparer.OrdinalIgnoreCase)];

    /// <summary>The guard of this process, as its operator set it.</summary>
    /// <exception cref="InvalidOperationException">An entry is no host:port; the message names it.</exception>
    public static AddressGuard FromEnvironment() => Parse(Environment.GetEnvironmentVariable(Variable));

    /// <summary>Reads the operator's list.</summary>
    /// <exception cref="InvalidOperationException">An entry is no host:port; the message names it.</exception>
    public static AddressGuard Parse(string? list)
    {
        var entries = (list ?? "").Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        foreach (var entry in entries)
        {
            var at = entry.LastIndexOf(':');
            if (at <= 0 || !ushort.TryParse(entry[(at + 1)..], out var port) || port == 0 || EndpointAddress.Parse($"http://{entry}").Refusal is not null || entry.Contains('/', StringComparison.Ordinal))
                throw new InvalidOperationException($"{Variable}: \"{entry}\" is no host:port. Write for example models.lan:8000, with commas between several.");
        }
        return new AddressGuard(entries);
    }

    /// <summary>True where the operator allows this host and port, wherever it leads.</summary>
    public bool Allows(EndpointAddress address) => allowed.Contains(address.HostAndPort);

    /// <summary>True for an address of the public internet.</summary>
    public static bool IsPublic(IPAddress address)
    {
        var plain = address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;
        if (plain.AddressFamily is AddressFamily.InterNetworkV6 && !GlobalUnicast.Contains(plain))
            return false;
        return !Refused.Any(network => network.BaseAddress.AddressFamily == plain.AddressFamily && network.Contains(plain));
    }

    /// <summary>The machines behind an endpoint's name, looked at.</summary>
    /// <param name="resolve">Asks DNS; an address written as a number answers itself.</param>
    /// <exception cref="EndpointRefused">One of them is not public and not allowed, or there is none; the message says what an operator can do.</exception>
    public async Task<IReadOnlyList<IPAddress>> Resolve(EndpointAddress address, Func<string, CancellationToken, Task<IPAddress[]>> resolve, CancellationToken stop)
    {
        var found = IPAddress.TryParse(address.Host, out var literal) ? [literal] : await resolve(address.Host, stop);
        if (found.Length == 0)
            throw new EndpointRefused($"{address.HostAndPort} has no address.");
        if (!Allows(address) && found.FirstOrDefault(one => !IsPublic(one)) is { } inside)
            throw new EndpointRefused($"{address.HostAndPort} leads to {inside}, an address that is not on the public internet, so nothing was sent. Where that is meant, the operator of this machine starts the engine with {Variable}={address.HostAndPort}.");
        return found;
    }
}

/// <summary>Nothing was sent to an endpoint because of where it leads or how; trying again does not help.</summary>
/// <param name="message">What is wrong and what to do; never holds a key.</param>
public sealed class EndpointRefused(string message) : Exception(message);
