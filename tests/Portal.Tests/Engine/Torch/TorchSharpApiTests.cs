using Portal.Torch.Native;
using Xunit;

namespace Portal.Tests.Engine.Torch;

/// <summary>
/// The stand-in may offer less than TorchSharp 0.107, but nothing else: what compiles against it compiles against the package.
/// </summary>
public class TorchSharpApiTests
{
    private static string[] Lines => File.ReadAllLines(SharedData.Path("design/torchsharp-0.107-api.txt"));

    private static readonly System.Reflection.Assembly Binding = typeof(TorchRuntime).Assembly;

    [SharedFact]
    public void Every_visible_member_stands_in_TorchSharp()
    {
        var foreign = new TorchSharpApi(Lines).Missing(Binding).ToList();

        Assert.True(foreign.Count == 0, $"{foreign.Count} members are not TorchSharp's; make them internal or put them in Portal.Torch.Native:\n{string.Join("\n", foreign)}");
    }

    [SharedTheory]
    [InlineData("Tensor masked_fill(Tensor mask, Scalar value)", "", "TorchSharp.torch.Tensor: Tensor masked_fill(Tensor mask, Scalar value)")]
    [InlineData("Tensor masked_fill(Tensor mask, Scalar value)", "Tensor masked_fill(Tensor mask, Scalar fill)", "TorchSharp.torch.Tensor: Tensor masked_fill(Tensor mask, Scalar value)")]
    [InlineData("static Tensor one_hot(Tensor x, long num_classes = -1)", "static Tensor one_hot(Tensor x, long num_classes = 0)", "TorchSharp.torch.nn.functional: static Tensor one_hot(Tensor x, long num_classes = -1)")]
    [InlineData("None=0, Mean=1, Sum=2", "None=0, Mean=2, Sum=1", "TorchSharp.torch.nn.Reduction: Mean=1")]
    [InlineData("bool training { get; }", "", "TorchSharp.torch.nn.Module: bool training { get; }")]
    public void A_member_that_TorchSharp_lacks_or_spells_otherwise_is_found(string line, string changed, string expected)
    {
        Assert.Contains(line, Lines);
        var altered = Lines.Select(l => l == line ? changed : l);

        Assert.Contains(expected, new TorchSharpApi(altered).Missing(Binding));
    }

    [SharedFact]
    public void Every_TorchSharp_member_that_the_engine_uses_stands_in_TorchSharp()
    {
        var foreign = new TorchSharpApi(Lines).MissingReferences(Path.Combine(AppContext.BaseDirectory, "Portal.Engine.dll")).ToList();

        Assert.True(foreign.Count == 0, string.Join("\n", foreign));
    }

    // This test assembly uses logsumexp, so a list without it must be refused.
    [SharedFact]
    public void A_use_of_a_member_that_TorchSharp_lacks_is_found()
    {
        var without = Lines.Where(static l => !l.Contains("logsumexp(", StringComparison.Ordinal));

        var foreign = new TorchSharpApi(without).MissingReferences(typeof(OperatorTests).Assembly.Location).ToList();

        Assert.Equal(["TorchSharp.torch.Tensor: logsumexp"], foreign);
    }
}

/// <summary>A theory that needs the shared reference data.</summary>
public sealed class SharedTheoryAttribute : TheoryAttribute
{
    public SharedTheoryAttribute()
    {
        if (SharedData.Root is null) Skip = new SharedFactAttribute().Skip;
    }
}
