using Portal.Tests;
using Portal.Tests.Browser;
using Portal.Tests.Engine.Jobs;
using Portal.Tests.Engine.Studies;
using Portal.Tests.Journeys;
using Xunit;
using Xunit.Abstractions;

// One more than the smallest machine has cores: some tests wait for a page or a job while others compute. With more, jobs wait for each other and tests for jobs, until they give up.
[assembly: CollectionBehavior(MaxParallelThreads = 3)]
[assembly: TestCollectionOrderer("Portal.Tests.LongestFirst", "Portal.Tests")]

namespace Portal.Tests;

/// <summary>Nothing runs beside the tests of this collection: they measure the process itself (memory, processor time), or how long something takes.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class Alone
{
    public const string Name = "alone";
}

/// <summary>The long collections begin first, so that none is left to run by itself at the end; a browser's beside those that wait for jobs.</summary>
public sealed class LongestFirst : ITestCollectionOrderer
{
    private static readonly string[] longest =
    [
        AdminPagesCollection.Name, nameof(KillRoundsTests), nameof(CrashTests), nameof(HhRlhfStudyTests), nameof(JobQueueTests), BrowserCollection.Name, nameof(FirstRoundTests), nameof(ClusterTests), nameof(FoundationStudyTests),
        nameof(FeaturesRoundTests), nameof(HostileFilesTests), nameof(StoryTests),
    ];

    public IEnumerable<ITestCollection> OrderTestCollections(IEnumerable<ITestCollection> testCollections) => testCollections.OrderBy(collection =>
    {
        var place = Array.FindIndex(longest, name => collection.DisplayName == name || collection.DisplayName.EndsWith($".{name}", StringComparison.Ordinal));
        return place < 0 ? longest.Length : place;
    });
}
