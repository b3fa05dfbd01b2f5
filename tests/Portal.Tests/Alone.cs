using Xunit;

namespace Portal.Tests;

/// <summary>Tests of this collection measure the process itself (memory, processor time), so nothing runs beside them.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class Alone
{
    public const string Name = "alone";
}
