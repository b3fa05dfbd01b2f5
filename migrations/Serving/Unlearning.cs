using Portal.Data.Unlearning;

namespace Portal.Data.Serving;

/// <summary>POST /v1/unlearning/preview: what a reward model's head would do without some of the judgements it was trained on. Trains nothing and stores nothing.</summary>
/// <param name="Model">The reward model's id.</param>
/// <param name="Judgements">1 to <see cref="JudgementsMax"/>; those it was not trained on are counted and left out.</param>
/// <param name="Action">What would be done to them.</param>
public sealed record RemovalPreviewRequest(string? Model, IReadOnlyList<Guid>? Judgements, UnlearningAction Action = UnlearningAction.Remove)
{
    public const string Route = "/v1/unlearning/preview";
    public const int JudgementsMax = 100_000;
}

/// <summary>What the head would do, after one Newton step on what is left. Margins are by how much the head prefers the answer that people chose.</summary>
/// <param name="Judgements">It would be about: the asked ones, and others that judged the same pair alike.</param>
/// <param name="JudgementsOf">That the model was trained on.</param>
/// <param name="Unknown">Asked for, but not trained on.</param>
/// <param name="Margin">Mean margin of the pairs that go, before and after.</param>
/// <param name="Neighbours">Share of the nearest pairs that are kept and stay ordered as people did, before and after.</param>
/// <param name="Kept">The same of all pairs that are kept.</param>
/// <param name="Most">Kept pairs whose margin would fall most, the worst first.</param>
public sealed record RemovalPreviewResponse(string Model, int Judgements, int JudgementsOf, int Unknown, BeforeAfter Margin, BeforeAfter Neighbours, BeforeAfter Kept, int NeighboursCounted, IReadOnlyList<MarginChange> Most, double Milliseconds)
{
    /// <summary>Pairs listed in <see cref="Most"/>.</summary>
    public const int MostListed = 5;
}

/// <summary>A figure now, and what it would be.</summary>
public sealed record BeforeAfter(double Before, double After);

/// <summary>A pair that is kept.</summary>
public sealed record MarginChange(JudgementId Judgement, double Before, double After);
