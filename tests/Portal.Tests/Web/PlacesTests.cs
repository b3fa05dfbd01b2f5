using System.Security.Claims;
using Portal.Data.Accounts;
using Portal.Web.Shell;
using Xunit;

namespace Portal.Tests.Web;

/// <summary>The menu shows a place only where its page exists and the role opens it.</summary>
public sealed class PlacesTests
{
    private static readonly string[] EveryPage = [.. Place.All.Select(static place => place.Path)];

    [Fact]
    public void A_place_without_a_page_is_not_shown() =>
        Assert.Equal(["Home"], Keys(new RoutedPlaces(["/", "/annotate/{Project}"], isDevelopment: false), RoleNames.Admin));

    [Fact]
    public void An_annotator_sees_teaching_and_help() =>
        Assert.Equal(["Home", "Annotate", "Judge", "MyWork", "Chat", "Docs"], Keys(new RoutedPlaces(EveryPage, isDevelopment: false), RoleNames.Annotator));

    [Fact]
    public void An_auditor_sees_models_audits_and_help() =>
        Assert.Equal(["Home", "Models", "Audits", "Docs"], Keys(new RoutedPlaces(EveryPage, isDevelopment: false), RoleNames.Auditor));

    [Fact]
    public void Somebody_unknown_sees_home() =>
        Assert.Equal(["Home"], Keys(new RoutedPlaces(EveryPage, isDevelopment: false)));

    [Fact]
    public void The_gallery_exists_in_development_only()
    {
        Assert.Contains("Gallery", Keys(new RoutedPlaces(EveryPage, isDevelopment: true)));
        Assert.DoesNotContain("Gallery", Keys(new RoutedPlaces(EveryPage, isDevelopment: false), RoleNames.Admin));
    }

    [Fact]
    public void Pages_of_the_portal_are_found_by_their_routes() =>
        Assert.Contains("/dev/gallery", ShellSetup.PageRoutes(typeof(ShellSetup).Assembly));

    private static IEnumerable<string> Keys(RoutedPlaces places, params string[] roles) =>
        places.VisibleTo(new ClaimsPrincipal(new ClaimsIdentity(roles.Select(static role => new Claim(ClaimTypes.Role, role)), "test"))).Select(static place => place.Key);
}
