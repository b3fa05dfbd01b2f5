using Portal.Data.Storage;

namespace Portal.Web;

/// <summary>What the portal is told when it starts: `--data`, `--demo`, `--listen`, and PORTAL_POSTGRES.</summary>
/// <param name="Directory">Where everything is kept.</param>
/// <param name="Demo">Make the demo's sign-ins on a fresh installation.</param>
/// <param name="Listen">The portal can be reached from other machines: demo accounts are refused.</param>
/// <param name="PostgresConnection">Keep rows in Postgres; null for SQLite.</param>
/// <param name="Refusal">Why the portal must not start with these options; null when it may.</param>
public sealed record PortalOptions(DataDirectory Directory, bool Demo, bool Listen, string? PostgresConnection, string? Refusal)
{
    public static PortalOptions From(IConfiguration configuration)
    {
        var folder = configuration["data"] ?? Environment.GetEnvironmentVariable("PORTAL_DATA") ?? "data";
        var demo = Has(configuration, "demo");
        var listen = Has(configuration, "listen");
        var postgres = Environment.GetEnvironmentVariable("PORTAL_POSTGRES");
        var refusal = demo && listen ? "--listen refuses the demo's accounts; start with --no-demo." : null;
        return new PortalOptions(new DataDirectory(Path.GetFullPath(folder)), demo, listen, string.IsNullOrWhiteSpace(postgres) ? null : postgres, refusal);
    }

    private static bool Has(IConfiguration configuration, string name) => configuration[name] is { } value && value is not "false";
}
