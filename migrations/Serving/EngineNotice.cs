using Portal.Data;

namespace Portal.Data.Serving;

/// <summary>What the engine POSTs to the portal when rows of a job have changed. It says "look", nothing more.</summary>
public sealed record EngineNotice(JobId JobId)
{
    /// <summary>Where it is POSTed, with the data directory's token as bearer.</summary>
    public const string Route = "/api/engine/notice";
}
