namespace Portal.Data.JobSpecs;

/// <summary>Does what an approved request to erase asks for: rows, texts, files and what was trained on them. It runs while no other job does, and may be run again after a crash at any point.</summary>
public sealed record EraseData : JobSpec
{
    public required ErasureRequestId RequestId { get; init; }
}
