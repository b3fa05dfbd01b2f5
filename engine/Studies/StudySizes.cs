using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Portal.Engine.Studies;

/// <summary>How much of a study is run: all of it, its miniature (<c>--quick</c>), or what <c>--sizes</c> says.</summary>
public static class StudySizes
{
    private static readonly JsonSerializerOptions json = new(JsonSerializerDefaults.Web) { Converters = { new JsonStringEnumConverter() }, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow };

    /// <summary>For the options of a study whose sizes can be chosen.</summary>
    public static Option<string> Option { get; } = new("--sizes") { Description = "Other sizes, as JSON: {\"votes\": 1000}. For tuning, on seeds that are not reported; not evidence." };

    /// <summary>The sizes of a run.</summary>
    /// <exception cref="CannotTrain"><c>--sizes</c> is no such object; the message says where.</exception>
    public static T Of<T>(StudyRun run, T miniature)
        where T : class, new() => run.Arguments.GetValue(Option) is { } other ? Read<T>(other) : run.IsQuick ? miniature : new T();

    private static T Read<T>(string text)
        where T : class
    {
        try
        {
            return JsonSerializer.Deserialize<T>(text, json) ?? throw new CannotTrain("--sizes is null; it must be an object.");
        }
        catch (JsonException e)
        {
            throw new CannotTrain($"--sizes: {e.Message}", e);
        }
    }
}
