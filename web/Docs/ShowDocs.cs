using System.Security.Claims;
using Portal.Data;
using Portal.Web.Accounts;

namespace Portal.Web.Docs;

/// <summary>A document that ships with the portal.</summary>
/// <param name="Name">Its file's name without the ending; what an address names.</param>
/// <param name="Title">Its first heading.</param>
/// <param name="Lead">Its first paragraph; empty where it has none.</param>
public sealed record DocTitle(string Name, string Title, string Lead);

/// <summary>The documents: every Markdown file that was published beside the portal from the repository's <c>docs/</c>.</summary>
[Needs(Permission.Use)]
public sealed class ListDocs(DocFiles files, Access access)
{
    /// <returns>In reading order: first what a newcomer needs, then the rest by name.</returns>
    public async Task<Outcome<IReadOnlyList<DocTitle>>> Handle(ClaimsPrincipal user, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Use, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        var titles = new List<DocTitle>();
        foreach (var name in files.Names())
            titles.Add(DocFiles.TitleOf(name, await files.Read(name, stop) ?? ""));
        return new Outcome<IReadOnlyList<DocTitle>>.Done(titles); // an interface does not convert by itself
    }
}

/// <summary>One document.</summary>
[Needs(Permission.Use)]
public sealed class ShowDoc(DocFiles files, Access access)
{
    /// <param name="name">As <see cref="ListDocs"/> names it.</param>
    /// <returns>Its title, and its Markdown without the first heading.</returns>
    public async Task<Outcome<(string Title, string Body)>> Handle(ClaimsPrincipal user, string name, CancellationToken stop)
    {
        var asked = await access.Check(user, Permission.Use, stop);
        if (asked.Refusal is { } refusal)
            return refusal;
        if (await files.Read(name, stop) is not { } text)
            return new Problem("name", "There is no such document.", ProblemKind.NotFound);
        return (DocFiles.TitleOf(name, text).Title, DocFiles.BodyOf(text));
    }
}

/// <summary>The published files.</summary>
/// <param name="folder">Where they are.</param>
public sealed class DocFiles(string folder)
{
    private static readonly string[] First = ["tutorial", "security", "api"];

    /// <summary>All names, the first ones first.</summary>
    public IReadOnlyList<string> Names() => !Directory.Exists(folder) ? [] :
        [.. Directory.EnumerateFiles(folder, "*.md").Select(path => Path.GetFileNameWithoutExtension(path))
            .OrderBy(name => Array.IndexOf(First, name) is >= 0 and var place ? place : First.Length).ThenBy(name => name, StringComparer.Ordinal)];

    /// <summary>A document's text; null for every name that is not on the list, so that no address leads elsewhere.</summary>
    public async Task<string?> Read(string name, CancellationToken stop) =>
        Names().Contains(name, StringComparer.Ordinal) ? await File.ReadAllTextAsync(Path.Combine(folder, name + ".md"), stop) : null;

    /// <summary>What a list says about a document.</summary>
    public static DocTitle TitleOf(string name, string text)
    {
        var blocks = text.ReplaceLineEndings("\n").Split("\n\n", StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        var title = blocks.FirstOrDefault(block => block.StartsWith("# ", StringComparison.Ordinal))?.Split('\n')[0][2..].Trim();
        var lead = blocks.FirstOrDefault(block => char.IsLetter(block[0]))?.Replace('\n', ' ');
        return new DocTitle(name, title ?? name, lead ?? "");
    }

    /// <summary>The text without its first heading, each paragraph on one line: <c>ModelText</c> keeps line breaks, and files are wrapped for editors.</summary>
    public static string BodyOf(string text)
    {
        var lines = text.ReplaceLineEndings("\n").Split('\n').ToList();
        var heading = lines.FindIndex(line => line.StartsWith("# ", StringComparison.Ordinal));
        if (heading >= 0)
            lines.RemoveAt(heading);
        var body = new List<string>();
        var isCode = false;
        foreach (var line in lines)
        {
            var isFence = line.TrimStart().StartsWith("```", StringComparison.Ordinal);
            if (!isCode && !isFence && body.Count > 0 && GoesOn(body[^1], line))
                body[^1] += " " + line.Trim();
            else
                body.Add(line);
            isCode ^= isFence;
        }
        return string.Join('\n', body).Trim('\n');
    }

    /// <summary>The line belongs to the paragraph or list item before it.</summary>
    private static bool GoesOn(string before, string line) =>
        before.Trim().Length > 0 && line.Trim().Length > 0 && !Opens(line) && !before.TrimStart().StartsWith('#') && !before.TrimStart().StartsWith('|')
        && !before.TrimStart().StartsWith("```", StringComparison.Ordinal);

    /// <summary>The line begins a block of its own: heading, list item, table row, quotation.</summary>
    private static bool Opens(string line)
    {
        var text = line.TrimStart();
        var digits = text.TakeWhile(char.IsAsciiDigit).Count();
        return text[0] is '#' or '|' or '>' || text.StartsWith("- ", StringComparison.Ordinal) || text.StartsWith("* ", StringComparison.Ordinal)
            || (digits is > 0 and < 4 && text[digits..].StartsWith(". ", StringComparison.Ordinal));
    }
}

/// <summary>Registers what the documents' pages ask.</summary>
public static class DocsSetup
{
    public static IServiceCollection AddDocs(this IServiceCollection services)
    {
        services.AddSingleton(new DocFiles(Path.Combine(AppContext.BaseDirectory, "docs")));
        services.AddSingleton<ListDocs>();
        services.AddSingleton<ShowDoc>();
        return services;
    }
}
