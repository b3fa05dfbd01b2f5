using Portal.Tests;
using Portal.Tests.Browser;
using Portal.Tests.Engine.Jobs;
using Portal.Tests.Engine.Recipes;
using Portal.Tests.Engine.TinyAssistant.Studies;
using Portal.Tests.Journeys;
using Xunit;
using Xunit.Abstractions;

// Many tests wait for processes of their own more than they compute: more of them at a time than there are cores.
[assembly: CollectionBehavior(MaxParallelThreads = 4)]
[assembly: TestCollectionOrderer("Portal.Tests.LongestFirst", "Portal.Tests")]

namespace Portal.Tests;

/// <summary>Nothing runs beside the tests of this collection: they measure the process itself (memory, processor time), or how long something takes.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class Alone
{
    public const string Name = "alone";
}

/// <summary>The long collections begin first, so that none is left to run by itself at the end.</summary>
public sealed class LongestFirst : ITestCollectionOrderer
{
    private static readonly string[] longest =
        [AdminPagesCollection.Name, BrowserCollection.Name, nameof(HhRlhfTests), nameof(CrashTests), nameof(FirstRoundTests), nameof(JobQueueTests), nameof(FoundationStudyTests), nameof(ClusterTests), nameof(HostileFilesTests), nameof(StoryTests)];

    public IEnumerable<ITestCollection> OrderTestCollections(IEnumerable<ITestCollection> testCollections) => testCollections.OrderBy(collection =>
    {
        var place = Array.FindIndex(longest, name => collection.DisplayName.EndsWith(name, StringComparison.Ordinal));
        return place < 0 ? longest.Length : place;
    });
}
