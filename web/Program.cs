using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Storage;
using Portal.Web;
using Portal.Web.Accounts;
using Portal.Web.Annotate;
using Portal.Web.Audits;
using Portal.Web.Datasets;
using Portal.Web.Docs;
using Portal.Web.Endpoints;
using Portal.Web.Erasure;
using Portal.Web.Explain;
using Portal.Web.Home;
using Portal.Web.Jobs;
using Portal.Web.MyWork;
using Portal.Web.Projects;
using Portal.Web.Registry;
using Portal.Web.Review;
using Portal.Web.SaeFeatures;
using Portal.Web.Shell;
using Portal.Web.Train;
using Portal.Web.Unlearning;

// The portal's entry point: a table of contents. Each folder adds and maps its own parts.
ThreadPool.SetMinThreads(64, 64); // SQLite's async calls are synchronous; with two pool threads readers would starve writers
var builder = WebApplication.CreateBuilder(args);
var options = PortalOptions.From(builder.Configuration);
if (options.Refusal is { } refusal)
{
    Console.Error.WriteLine(refusal);
    return 2;
}
var data = new PortalDataOptions(options.Directory, options.PostgresConnection);
options.Directory.Create();
builder.WebHost.ConfigureKestrel(kestrel => kestrel.AddServerHeader = false);
builder.Services.AddSingleton(options);
builder.Services.AddPortalData(data);
builder.AddShell();
builder.AddAccounts(options.Directory);
builder.Services.AddAnnotate();
builder.Services.AddProjects();
builder.Services.AddMyWork();
builder.Services.AddReview();
builder.Services.AddJobs();
builder.Services.AddTrain();
builder.AddRegistry();
builder.AddDatasets();
builder.Services.AddTrainingPages();
builder.Services.AddRunPages();
builder.Services.AddSaeFeatures();
builder.Services.AddToggles();
builder.Services.AddAudits();
builder.Services.AddExplanations();
builder.Services.AddUnlearning();
builder.Services.AddErasure();
builder.Services.AddEndpoints();
builder.Services.AddHome();
builder.Services.AddDocs();

var app = builder.Build();
using (var db = app.Services.GetRequiredService<IDbContextFactory<PortalDbContext>>().CreateDbContext())
    DatabaseSetup.Prepare(db, data, TimeProvider.System.GetUtcNow());
await app.Services.GetRequiredService<FirstAccounts>().Ensure(options.Demo);
app.UseShell();
app.UseAuthentication();
app.UseAuthorization();
app.UseRateLimiter();
app.UseAntiforgery();
app.MapGet("/health", () => "ok").AllowAnonymous();
app.MapAccounts();
app.MapAnnotateApi();
app.MapAnnotateForms();
app.MapMyWork();
app.MapProjects();
app.MapJobs();
app.MapDatasets();
app.MapRegistry();
app.MapSaeFeatures();
app.MapToggles();
app.MapAudits();
app.MapUnlearning();
app.MapErasure();
app.MapShell();
app.Run();
return 0;
