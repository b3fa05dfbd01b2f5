using Portal.Web.Shell;

var builder = WebApplication.CreateBuilder(args);
builder.AddShell();

var app = builder.Build();
app.UseShell();
app.UseAntiforgery();
app.MapShell();
app.Run();

/// <summary>The portal's entry point: a table of contents. Each folder adds and maps its own parts.</summary>
public partial class Program;
