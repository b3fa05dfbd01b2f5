namespace Portal.Data.Endpoints;

/// <summary>The base address of an endpoint: http or https, a host, perhaps a port and a path, and nothing else.</summary>
/// <remarks>What it says is checked here, on the form and before each use. Which machine it leads to is checked where a connection is made (the engine's Endpoints/AddressGuard).</remarks>
public sealed record EndpointAddress
{
    private EndpointAddress(Uri uri) => Uri = uri;

    private Uri Uri { get; }

    /// <summary>As it is stored: no slash at the end.</summary>
    public string Text => Uri.GetComponents(UriComponents.SchemeAndServer | UriComponents.Path, UriFormat.UriEscaped).TrimEnd('/');

    /// <summary>The host as DNS knows it, an IPv6 address without brackets.</summary>
    public string Host => Uri.IdnHost;

    public int Port => Uri.Port;

    /// <summary>"host:port", what an operator's list of allowed hosts names; an IPv6 address in brackets.</summary>
    public string HostAndPort => Uri.HostNameType is UriHostNameType.IPv6 ? $"[{Host}]:{Port}" : $"{Host}:{Port}";

    /// <summary>Nobody between here and there can read what is sent.</summary>
    public bool IsEncrypted => Uri.Scheme == Uri.UriSchemeHttps;

    /// <summary>The address of one of its doors.</summary>
    /// <param name="door">"completions" or "chat/completions".</param>
    public Uri Door(string door) => new($"{Text}/{door}");

    /// <summary>Reads an address as typed.</summary>
    public static Outcome<EndpointAddress> Parse(string? text)
    {
        var typed = text?.Trim() ?? "";
        if (typed.Length == 0)
            return Wrong("Give the address, for example https://api.example.org/v1.");
        if (typed.Length > PolicyEndpoint.BaseUrlLengthMax)
            return Wrong($"The address has {typed.Length} characters; at most {PolicyEndpoint.BaseUrlLengthMax} are kept.");
        if (!Uri.TryCreate(typed, UriKind.Absolute, out var uri) || (uri.Scheme != Uri.UriSchemeHttps && uri.Scheme != Uri.UriSchemeHttp) || uri.Host.Length == 0)
            return Wrong("The address begins with https:// (or http://) and names a host.");
        if (typed.Contains('@', StringComparison.Ordinal))
            return Wrong("An address holds no name and no password; the key has a field of its own.");
        if (uri.Query.Length > 0 || uri.Fragment.Length > 0 || typed.Contains('?', StringComparison.Ordinal) || typed.Contains('#', StringComparison.Ordinal))
            return Wrong("An address ends with its path: no question mark and no # in it.");
        if (uri.AbsolutePath.TrimEnd('/').EndsWith("/completions", StringComparison.OrdinalIgnoreCase))
            return Wrong("Leave /completions and /chat/completions away: they are put behind the address.");
        return new EndpointAddress(uri);
    }

    private static Problem Wrong(string message) => new("baseUrl", message);
}
