using Portal.Web.Shell;

namespace Portal.Web.Projects;

/// <summary>Registers projects and the frame that names the current one.</summary>
public static class ProjectsSetup
{
    /// <summary>Call after <see cref="ShellSetup.AddShell"/>: the frame replaces the shell's empty one.</summary>
    public static IServiceCollection AddProjects(this IServiceCollection services)
    {
        services.AddHttpContextAccessor();
        services.AddSingleton<CreateProject>();
        services.AddSingleton<EditProject>();
        services.AddSingleton<ArchiveProject>();
        services.AddSingleton<ListProjects>();
        services.AddSingleton<ShowProject>();
        services.AddSingleton<CurrentProject>();
        services.AddSingleton<EnterProject>();
        services.AddSingleton<LoadFrame>();
        services.AddScoped<LoadShellFrame>(provider => provider.GetRequiredService<LoadFrame>().Handle);
        return services;
    }
}
