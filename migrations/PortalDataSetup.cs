using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Portal.Data.Endpoints;
using Portal.Data.Storage;

namespace Portal.Data;

/// <summary>Where the database is: a SQLite file in the data directory unless a Postgres connection is given.</summary>
/// <param name="Directory">The installation's data directory.</param>
/// <param name="PostgresConnection">A connection string for Npgsql, or null for SQLite.</param>
public sealed record PortalDataOptions(DataDirectory Directory, string? PostgresConnection = null)
{
    /// <summary>True when rows are kept in Postgres.</summary>
    public bool UsesPostgres => PostgresConnection is not null;
}

/// <summary>Registers the database for a process (portal, engine, tool).</summary>
public static class PortalDataSetup
{
    /// <summary>
    /// Adds <see cref="IDbContextFactory{TContext}"/> of <see cref="PortalDbContext"/>, a scoped context for Identity, the write queue, the id
    /// factory, the content hasher, what seals the keys of endpoints, and the options.
    /// </summary>
    public static IServiceCollection AddPortalData(this IServiceCollection services, PortalDataOptions options)
    {
        services.AddSingleton(options);
        services.AddSingleton(options.Directory);
        services.TryAddSingleton(TimeProvider.System);
        services.AddSingleton<IdFactory>();
        services.AddSingleton(_ => new ContentHasher(options.Directory.Secret("content")));
        services.AddSingleton<EndpointSecrets>();
        if (options.UsesPostgres)
            Add<PostgresPortalDbContext>(services, options);
        else
            Add<SqlitePortalDbContext>(services, options);
        services.AddSingleton<WriteQueue>();
        services.AddScoped(provider => provider.GetRequiredService<IDbContextFactory<PortalDbContext>>().CreateDbContext());
        return services;
    }

    /// <summary>Sets a context's options up for this installation; shared by the services above and by tools and tests.</summary>
    public static void Configure(DbContextOptionsBuilder builder, PortalDataOptions options)
    {
        if (options.PostgresConnection is { } connection)
            builder.UseNpgsql(Pooled(connection));
        else
            builder.UseSqlite($"Data Source={options.Directory.Database}").AddInterceptors(SqlitePragmas.Instance);
    }

    private const int NpgsqlDefaultPoolSize = 100;

    /// <summary>
    /// A pool per process that leaves room for the others: a server takes 100 connections by default, and portal, engine and its workers
    /// share them. Another size in the connection string wins.
    /// </summary>
    private static string Pooled(string connection)
    {
        var parts = new Npgsql.NpgsqlConnectionStringBuilder(connection);
        if (parts.MaxPoolSize == NpgsqlDefaultPoolSize)
            parts.MaxPoolSize = 30;
        return parts.ConnectionString;
    }

    private static void Add<TContext>(IServiceCollection services, PortalDataOptions options) where TContext : PortalDbContext
    {
        services.AddDbContextFactory<TContext>(builder => Configure(builder, options));
        services.AddSingleton<IDbContextFactory<PortalDbContext>, Factory<TContext>>();
    }

    /// <summary>Hands out the provider's context under the name everybody uses.</summary>
    private sealed class Factory<TContext>(IDbContextFactory<TContext> inner) : IDbContextFactory<PortalDbContext> where TContext : PortalDbContext
    {
        public PortalDbContext CreateDbContext() => inner.CreateDbContext();
    }
}
