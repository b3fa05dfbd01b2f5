using System.Text.Json;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Portal.Tests.Engine.Torch;

/// <summary>tests/Golden/torch_ops.json: PyTorch's answers, made by the script beside it.</summary>
internal static class TorchGolden
{
    internal static JsonElement Root { get; } = JsonDocument.Parse(File.ReadAllText(Locate())).RootElement;

    private static string Locate()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            var candidate = Path.Combine(folder.FullName, "tests", "Golden", "torch_ops.json");
            if (File.Exists(candidate)) return candidate;
        }
        throw new FileNotFoundException("tests/Golden/torch_ops.json is not above the test's folder.");
    }

    internal static IEnumerable<string> Names(string list) => Root.GetProperty(list).EnumerateArray().Select(static e => e.GetProperty("name").GetString()!);

    internal static JsonElement Named(string list, string name) => Root.GetProperty(list).EnumerateArray().Single(e => e.GetProperty("name").GetString() == name);

    internal static Tensor Unpack(JsonElement packed)
    {
        var shape = packed.GetProperty("s").EnumerateArray().Select(static s => s.GetInt64()).ToArray();
        var values = packed.GetProperty("v").EnumerateArray();
        return packed.GetProperty("t").GetString() switch
        {
            "f" => tensor(values.Select(static v => v.GetSingle()).ToArray(), shape),
            "d" => tensor(values.Select(static v => v.GetDouble()).ToArray(), shape),
            "i" => tensor(values.Select(static v => v.GetInt64()).ToArray(), shape),
            "b" => tensor(values.Select(static v => v.GetInt32() != 0).ToArray(), shape),
            var kind => throw new InvalidDataException($"kind {kind}"),
        };
    }

    internal static Tensor[] UnpackAll(JsonElement list) => list.EnumerateArray().Select(Unpack).ToArray();

    /// <summary>Fails unless type, shape and values agree.</summary>
    internal static void AssertClose(Tensor expected, Tensor actual, double relative, double absolute, string what)
    {
        Assert.Equal(expected.dtype, actual.dtype);
        Assert.Equal(expected.shape, actual.shape);
        Assert.True(actual.allclose(expected, relative, absolute, equal_nan: true), $"{what}: expected\n{expected}\nbut got\n{actual}");
    }
}
