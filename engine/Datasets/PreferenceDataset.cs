using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.Datasets;
using Portal.Data.Feedback;

namespace Portal.Engine.Datasets;

// What becomes of each verdict on a pair (A, B). "Row" is a row of a dataset version; strength s is 1 to 3, or not known.
//
//   verdict         | row in a version              | for a reward model and DPO              | counted as dropped
//   ----------------+-------------------------------+-----------------------------------------+-------------------
//   A preferred, s  | chosen A, rejected B          | pair A > B, margin s/3 (null: not known)| -
//   B preferred, s  | chosen B, rejected A          | pair B > A, margin s/3 (null: not known)| -
//   tie             | none                          | nothing: it prefers neither             | "tie"
//   both good       | none                          | nothing                                 | "both good"
//   both bad        | none                          | nothing                                 | "both bad"
//   cannot judge    | none                          | nothing                                 | "cannot judge"
//   any, superseded | none: the later one counts    |                                         | "superseded"
//   any, surplus    | none: the wanted ones count   |                                         | "surplus"
//   any, of a blind | none: it informs a release,   |                                         | "blind comparison"
//     comparison    |   never training              |                                         |
//   any, removed by | none                        |                                         | "unlearnt"
//     a released    |                             |                                         |
//     request       |                             |                                         |
//   preferred,      | the pair the other way round;  | none                                    |
//     turned round  |   the row names the request    |                                         |
//   preferred,      | the pair, of half the weight;  | none                                    |
//     weighed down  |   the row names the request    |                                         |
//   any, whose text | none, and left out of earlier |                                         | "erased"
//     was erased    |   versions when they are read |                                         |
//   any, erased     | none, and taken out of        |                                         | nowhere: it is gone; earlier
//     itself        |   earlier versions for good   |                                         |   versions count "rows erased"
//
// A pair judged by several people gives one row each, all with weight 1. The rules of a version may leave out imported or simulated
// judgements ("imported", "simulated") and other topics ("other topic"). A tie is not half a preference: the Bradley-Terry loss has no
// place for it, and two rows in both directions would only pull the margin to zero at the price of a larger gradient.

/// <summary>The pairs of a dataset version with their texts, in memory, as recipes take them.</summary>
public static class PreferenceDataset
{
    /// <summary>Reads a version of kind pairwise.</summary>
    /// <returns>Rows in the version's order, in its parts; and how many were left out because a text was erased since.</returns>
    /// <exception cref="CannotTrain">There is no such version, or it holds single verdicts.</exception>
    public static Task<DatasetRows<PreferencePair>> Load(IDbContextFactory<PortalDbContext> contexts, DatasetVersionId version, CancellationToken stop) =>
        DatasetReader.Read(contexts, version, TaskKind.Pairwise, (row, prompt, chosen, rejected) => rejected is null ? null : PairOf(row, prompt, chosen, rejected), stop);

    /// <summary>The same with the judgement of each row.</summary>
    /// <inheritdoc cref="Load"/>
    public static Task<DatasetRows<IdentifiedPair>> LoadIdentified(IDbContextFactory<PortalDbContext> contexts, DatasetVersionId version, CancellationToken stop) =>
        DatasetReader.Read(contexts, version, TaskKind.Pairwise, (row, prompt, chosen, rejected) => rejected is null ? null : new IdentifiedPair(row.JudgementId.Value, PairOf(row, prompt, chosen, rejected)), stop);

    private static PreferencePair PairOf(DatasetRow row, StoredPrompt prompt, string chosen, string rejected) => new(prompt.Key, prompt.Turns, chosen, rejected, row.Margin, row.Weight, prompt.Topic);
}
