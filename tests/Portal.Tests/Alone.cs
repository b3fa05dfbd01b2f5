using Portal.Tests;
using Portal.Tests.Browser;
using Portal.Tests.Engine.Jobs;
using Portal.Tests.Journeys;
using Xunit;
using Xunit.Abstractions;

// One more than the smallest machine has cores, since some tests wait for a page or a job while others compute; and two for the studies, which compute behind everything else.
[assembly: CollectionBehavior(MaxParallelThreads = 5)]
[assembly: TestCollectionOrderer("Portal.Tests.LongestFirst", "Portal.Tests")]

namespace Portal.Tests;

/// <summary>Nothing runs beside the tests of this collection: they measure the process itself (memory, processor time), or how long something takes.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class Alone
{
    public const string Name = "alone";
}

/// <summary>Miniatures of studies, one after the other, in processes of the lowest priority (<see cref="BuiltEngine"/>): from the first minute on they take the time that other tests leave.</summary>
[CollectionDefinition(Name)]
public sealed class StudiesCollection
{
    public const string Name = "studies";
}

/// <summary>The others of them: two at a time.</summary>
[CollectionDefinition(Name)]
public sealed class MoreStudiesCollection
{
    public const string Name = "more studies";
}

/// <summary>The long collections begin first, so that none is left to run by itself at the end; a browser's beside those that wait for jobs.</summary>
public sealed class LongestFirst : ITestCollectionOrderer
{
    private static readonly string[] longest =
    [
        StudiesCollection.Name, MoreStudiesCollection.Name, AdminPagesCollection.Name, nameof(KillRoundsTests), nameof(CrashTests), nameof(FirstRoundTests), nameof(JobQueueTests), BrowserCollection.Name, nameof(FeaturesRoundTests), nameof(ClusterTests),
        nameof(HostileFilesTests), nameof(StoryTests),
    ];

    public IEnumerable<ITestCollection> OrderTestCollections(IEnumerable<ITestCollection> testCollections) => testCollections.OrderBy(collection =>
    {
        var place = Array.FindIndex(longest, name => collection.DisplayName == name || collection.DisplayName.EndsWith($".{name}", StringComparison.Ordinal));
        return place < 0 ? longest.Length : place;
    });
}
