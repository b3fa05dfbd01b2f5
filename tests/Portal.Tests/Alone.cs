using Xunit;

namespace Portal.Tests;

/// <summary>
/// Nothing runs beside the tests of this collection: some measure the process itself (memory, processor time), and some train models in processes
/// that take every core, beside which a test with a patience would lose it.
/// </summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class Alone
{
    public const string Name = "alone";
}
