using Microsoft.Extensions.DependencyInjection;
using Portal.Engine;
using Portal.Engine.Jobs;
using Portal.Engine.Serving;
using Portal.Tests.Engine.Jobs;
using Portal.Tests.Engine.Serving;
using Portal.Tests.Screenshots;

namespace Portal.Tests;

/// <summary>
/// The test assembly as a program: the engine's command line with the tests' own runner for training jobs. So the crash
/// tests kill real processes, and nothing made for tests is in the product. With "screenshots" it is the browser behind `./run screenshots`.
/// </summary>
internal static class TestProgram
{
    private static async Task<int> Main(string[] args)
    {
        if (args is [TakeScreenshots.Verb, ..])
            return await TakeScreenshots.Run(args);
        ThreadPool.SetMinThreads(32, 32);
        return await EngineCommandLine.Run(args, new EngineParts
        {
            Runners = new JobRunners().Add(() => new CountingRunner()),
            AddServing = services => services.AddSingleton<ITextGenerator, EchoGenerator>(), // and nobody who scores
        });
    }
}
