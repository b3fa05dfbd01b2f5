using System.Diagnostics;
using Portal.Engine.TinyAssistant;
using Xunit;
using Xunit.Abstractions;

namespace Portal.Tests.Engine.TinyAssistant;

[Collection(Alone.Name)]
public sealed class GraderSpeedTests(ITestOutputHelper output)
{
    /// <summary>Processor time and not time on the wall: what other processes do on a shared machine says nothing about the grader.</summary>
    [Fact]
    public void Ten_thousand_texts_are_read_in_under_two_seconds_of_processor_time()
    {
        var dialogues = Enumerable.Range(0, 10_000).Select(i => new World(97).WriteDialogue(i)).ToArray();
        Grader.Read("What is 3 plus 4?", "It is 7."); // collects the language first, once per process

        using var process = Process.GetCurrentProcess();
        var before = process.TotalProcessorTime;
        foreach (var dialogue in dialogues) Grader.Read(dialogue.Prompt, dialogue.Response);
        process.Refresh();
        var used = process.TotalProcessorTime - before;

        output.WriteLine($"{used.TotalMilliseconds:F0} ms of processor time");
        Assert.InRange(used.TotalMilliseconds, 0, 2_000);
    }
}
