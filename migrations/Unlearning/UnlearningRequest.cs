using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Portal.Data.Explanations;
using Portal.Data.Serving;

namespace Portal.Data.Unlearning;

/// <summary>Ways to make a reward model that has not learned from some judgements, as far as people may choose one.</summary>
public enum UnlearningMethod
{
    /// <summary>Two Newton steps of the head on what is left, with a certificate; the body stays. Seconds.</summary>
    Newton = 1,
    /// <summary>The head by descent with the pairs turned round and all others kept, until the margins are where they would be without them.</summary>
    SwapAndRetain = 2,
    /// <summary>The whole model, trained again from its parent with the same seed on what is left, or on the pairs as they were changed: nothing remains of how they were. As long as the training took.</summary>
    TrainAgain = 3,
}

/// <summary>Where a request stands. What its job is doing, and whether its version still serves, is told by the job and by the project's pointer.</summary>
public enum UnlearningState
{
    /// <summary>Somebody asked; a second person has to decide.</summary>
    Waiting = 1,
    /// <summary>Approved: its job waits, runs or ended without a version.</summary>
    Approved = 2,
    /// <summary>The model without the pairs is made and measured; nobody released it.</summary>
    Made = 3,
    /// <summary>It was released.</summary>
    Released = 4,
    Refused = 5,
    /// <summary>Taken back by who asked, or ended because its job came to nothing.</summary>
    Withdrawn = 6,
    /// <summary>What served before was put back: its judgements count again.</summary>
    RolledBack = 7,
}

/// <summary>
/// Asks that a reward model forget some of the judgements it was trained on, because they make it like bad responses: from the question over a second person's word and a job to a version that can be released.
/// </summary>
/// <remarks>
/// Quality, not erasure: the rows stay, and so may older versions. Whoever asked never decides, not even where there is nobody else: forgetting is a way to attack a model (who flags enough can have its safety data forgotten).
/// Source: specs/xrlhf.md §6.1, §6.3.
/// </remarks>
public sealed class UnlearningRequest
{
    public const int ReasonLengthMax = 2_000;
    public const int NoteLengthMax = 2_000;

    /// <summary>Of the judgements a model was trained on: a larger share needs a second approval, and a still larger one is not taken at all.</summary>
    public const double ShareForOneApproval = 0.01, ShareMax = 0.10;

    public required UnlearningRequestId Id { get; init; }
    public required ProjectId ProjectId { get; init; }

    /// <summary>1, 2, 3 ... within the project.</summary>
    public required int Number { get; init; }

    /// <summary>The explanation the pairs were chosen on.</summary>
    public required ExplanationId ExplanationId { get; init; }

    /// <summary>The reward model that shall forget, and the version of the data it was trained on.</summary>
    public required ModelVersionId RewardModelId { get; init; }
    public required DatasetVersionId DatasetVersionId { get; init; }

    public required UnlearningMethod Method { get; init; }

    /// <summary>What is done to the judgements.</summary>
    public UnlearningAction Action { get; init; } = UnlearningAction.Remove;

    /// <summary>What cannot be done together; null for what can.</summary>
    public static Problem? Unfit(UnlearningMethod method, UnlearningAction action) => method is UnlearningMethod.SwapAndRetain && action is not UnlearningAction.Remove
        ? new Problem("method", "Swap and retain only takes judgements out. Choose Newton, or train again.")
        : null;

    /// <summary>Why, in the words of who asks.</summary>
    public required string Reason { get; init; }

    /// <summary>Judgements it is about, and of how many.</summary>
    public required int Judgements { get; init; }
    public required int JudgementsOf { get; init; }

    /// <summary>Of those, judgements on topics that the project protects: they need a second approval, however few.</summary>
    public int Protected { get; init; }

    /// <summary>What it would do, as the engine said before it was asked for (<see cref="UnlearningPreview"/> as JSON).</summary>
    public required string PreviewJson { get; init; }

    public required Guid RequestedBy { get; init; }
    public required DateTimeOffset RequestedAt { get; init; }

    public UnlearningState State { get; private set; } = UnlearningState.Waiting;

    /// <summary>The first of two approvals, where two are needed; null before, and where one is enough.</summary>
    public Guid? FirstApprover { get; private set; }
    public DateTimeOffset? FirstApprovedAt { get; private set; }

    /// <summary>Who approved last, or refused; null before.</summary>
    public Guid? DecidedBy { get; private set; }
    public DateTimeOffset? DecidedAt { get; private set; }

    /// <summary>Their words. A refusal always has them.</summary>
    public string? DecisionNote { get; private set; }

    /// <summary>The job; null before it was approved.</summary>
    public JobId? JobId { get; private set; }

    /// <summary>The version it made; null before.</summary>
    public ModelVersionId? VersionId { get; private set; }

    /// <summary>The newest job that trains the policy with that version; null before somebody asked for it. The policy it makes has the job's id.</summary>
    public JobId? RepairJobId { get; private set; }

    /// <summary>What became of it (<see cref="UnlearningOutcome"/> as JSON); null before.</summary>
    public string? OutcomeJson { get; private set; }

    /// <summary>Guards against two people changing it at once.</summary>
    public int RowVersion { get; private set; }

    /// <summary>Of the judgements trained on.</summary>
    public double Share => JudgementsOf == 0 ? 0 : Judgements / (double)JudgementsOf;

    /// <summary>1, or 2 above <see cref="ShareForOneApproval"/> and where protected data are among them.</summary>
    public int ApprovalsNeeded => ApprovalsFor(Judgements, JudgementsOf, Protected);

    /// <inheritdoc cref="ApprovalsNeeded"/>
    public static int ApprovalsFor(int judgements, int of, int protectedOnes) => judgements > ShareForOneApproval * of || protectedOnes > 0 ? 2 : 1;

    /// <summary>Waits, runs or is about to be released: its pairs belong to no other request meanwhile.</summary>
    public bool IsOpen => State is UnlearningState.Waiting or UnlearningState.Approved or UnlearningState.Made;

    /// <summary>What the job measured; null before.</summary>
    public UnlearningOutcome? Outcome() => OutcomeJson is { } json ? JsonSerializer.Deserialize<UnlearningOutcome>(json) : null;

    /// <summary>A second person agrees.</summary>
    /// <param name="job">Makes the job that is queued with the last approval needed.</param>
    /// <returns>What is wrong; null when it was noted.</returns>
    public Problem? Approve(Guid by, string? note, DateTimeOffset at, Func<Outcome<JobId>> job)
    {
        if (FourEyes.Check(State is UnlearningState.Waiting, RequestedBy, by, note, NoteLengthMax) is { } problem)
            return problem;
        if (ApprovalsNeeded == 2 && FirstApprover is null)
        {
            (FirstApprover, FirstApprovedAt) = (by, at);
            RowVersion++;
            return null;
        }
        if (FirstApprover == by)
            return new Problem("", "You approved this already; this request needs another person as well.", ProblemKind.Forbidden);
        var started = job();
        if (started.Refusal is { } refusal)
            return refusal.Problems[0];
        (State, DecidedBy, DecidedAt, DecisionNote, JobId) = (UnlearningState.Approved, by, at, FourEyes.Words(note), started.Value);
        RowVersion++;
        return null;
    }

    /// <summary>A second person does not.</summary>
    public Problem? Refuse(Guid by, string? note, DateTimeOffset at)
    {
        if (FourEyes.Check(State is UnlearningState.Waiting, RequestedBy, by, note, NoteLengthMax) is { } problem)
            return problem;
        if (FourEyes.Words(note) is not { } words)
            return FourEyes.Wordless;
        (State, DecidedBy, DecidedAt, DecisionNote) = (UnlearningState.Refused, by, at, words);
        RowVersion++;
        return null;
    }

    /// <summary>Whoever asked takes it back, before anybody decided or after its job came to nothing.</summary>
    /// <param name="isJobUnderWay">The job may still make the version.</param>
    public Problem? Withdraw(Guid by, bool isJobUnderWay)
    {
        if (by != RequestedBy)
            return new Problem("", "Only whoever asked for it takes it back.", ProblemKind.Forbidden);
        if (State is not (UnlearningState.Waiting or UnlearningState.Approved))
            return new Problem("", "Nothing waits here any more.", ProblemKind.Conflict);
        if (isJobUnderWay)
            return new Problem("", "Its job is under way. Cancel it on its page first.", ProblemKind.Conflict);
        State = UnlearningState.Withdrawn;
        RowVersion++;
        return null;
    }

    /// <summary>The job has made and measured the version.</summary>
    public void Made(ModelVersionId version, UnlearningOutcome outcome)
    {
        (State, VersionId, OutcomeJson) = (UnlearningState.Made, version, JsonSerializer.Serialize(outcome));
        RowVersion++;
    }

    /// <summary>The policy is trained with the version.</summary>
    /// <param name="isUnderWay">An earlier such job has not ended.</param>
    public Problem? Repair(JobId job, bool isUnderWay)
    {
        if (State is not (UnlearningState.Made or UnlearningState.Released))
            return new Problem("", "There is no reward model to train the policy with yet.", ProblemKind.Conflict);
        if (isUnderWay)
            return new Problem("", "A job that trains the policy with it is under way already.", ProblemKind.Conflict);
        RepairJobId = job;
        RowVersion++;
        return null;
    }

    /// <summary>The version serves from now on; releasing it is the caller's, in the same write.</summary>
    public Problem? Release()
    {
        if (State is not (UnlearningState.Made or UnlearningState.RolledBack))
            return new Problem("", "There is no version to release yet.", ProblemKind.Conflict);
        State = UnlearningState.Released;
        RowVersion++;
        return null;
    }

    /// <summary>What served before serves again.</summary>
    public void RollBack()
    {
        if (State is not UnlearningState.Released)
            return;
        State = UnlearningState.RolledBack;
        RowVersion++;
    }
}

/// <summary>A judgement that shall be forgotten.</summary>
public sealed class UnlearningPair
{
    public required UnlearningRequestId RequestId { get; init; }
    public required JudgementId JudgementId { get; init; }
}

/// <summary>What forgetting some pairs, or changing them, would do.</summary>
/// <param name="Effect">On the pairs, their neighbours and all others.</param>
/// <param name="Fall">By how much the explained response's reward would fall, to first order; null for pairs turned round, of which the first order says too little.</param>
/// <param name="OtherResponses">Other explained responses of the same model that these pairs explain as well: the blast radius.</param>
/// <param name="ApprovalsNeeded">1 or 2.</param>
/// <param name="Protected">Judgements on topics that the project protects.</param>
public sealed record UnlearningPreview(RemovalPreviewResponse Effect, double? Fall, int OtherResponses, int ApprovalsNeeded, int Protected = 0)
{
    /// <summary>Puts what the engine said of the head beside what the explanation says of the response.</summary>
    /// <param name="judgements">It would be about.</param>
    /// <param name="of">Judgements the model was trained on, and <paramref name="guarded"/> of the asked ones on protected topics.</param>
    /// <param name="areTheirs">All that a person gave: the influence of most of those is not kept, so no fall is told.</param>
    public static async Task<UnlearningPreview> Of(PortalDbContext db, Explanation explanation, RemovalPreviewResponse effect, IReadOnlyList<JudgementId> judgements, int of, int guarded, UnlearningAction action, bool areTheirs, CancellationToken stop)
    {
        // Of pairs that were judged alike, the one they are named by has the influence of all.
        var influence = areTheirs ? (double?)null : await db.ExplainingPairs.Where(p => p.ExplanationId == explanation.Id && judgements.Contains(p.JudgementId)).SumAsync(p => p.Influence, stop);
        double? fall = action switch { UnlearningAction.Remove => influence, UnlearningAction.DownWeight => (1 - PairStanding.LessWeight) * influence, UnlearningAction.Relabel => null };
        return new UnlearningPreview(effect, fall, await OthersExplained(db, explanation, judgements, stop), UnlearningRequest.ApprovalsFor(judgements.Count, of, guarded), guarded);
    }

    /// <summary>Responses besides this one that some of the pairs explain, under the same model.</summary>
    private static Task<int> OthersExplained(PortalDbContext db, Explanation explanation, IReadOnlyList<JudgementId> judgements, CancellationToken stop) =>
        // Over IX_ExplainingPairs_JudgementId.
        (from pair in db.ExplainingPairs
         where judgements.Contains(pair.JudgementId) && pair.Weight > 0
         join other in db.Explanations on pair.ExplanationId equals other.Id
         where other.RewardModelId == explanation.RewardModelId && other.ResponseId != explanation.ResponseId
         select other.ResponseId).Distinct().CountAsync(stop);
}

/// <summary>What was measured on a model after unlearning, beside the one before and the head that never saw the pairs. Source: specs/xrlhf.md §5.3.</summary>
/// <param name="Pairs">Rows of features that went.</param>
/// <param name="BadReward">Of the flagged response above what it is compared with: before, after, and without the pairs from the start. Null where its text was erased.</param>
/// <param name="HeldOutAccuracy">Share of held-out pairs ordered as people did.</param>
/// <param name="NeighbourAccuracy">The same on the nearest pairs that were kept: where damage shows first.</param>
/// <param name="Distance">‖θ − θ_gold‖ over ‖θ₀ − θ_gold‖; null where the body was trained as well.</param>
/// <param name="ResidualGradient">‖∇L‖ on the pairs left: the certificate. Null likewise.</param>
/// <param name="MarginDistance">Kolmogorov-Smirnov's D between the margins of the pairs that went and gold's, with its p. Null likewise.</param>
/// <param name="Seconds">That making it took, and that training the head again took.</param>
public sealed record UnlearningOutcome(int Pairs, BeforeAfterGold? BadReward, BeforeAfterGold HeldOutAccuracy, BeforeAfterGold NeighbourAccuracy, double? Distance, double? ResidualGradient, double? MarginDistance, double? MarginP, double Seconds, double SecondsOfGold)
{
    /// <summary>Held-out accuracy may be so far below gold's; D so large; the fall of the bad reward so far from gold's, as a share of gold's fall; below this p a difference is no chance.</summary>
    public const double AccuracyTolerance = 0.005, MarginDistanceMax = 0.1, FallTolerance = 0.2, ChanceMax = 0.05;

    /// <summary>Whether each gate is passed; null where it cannot be told.</summary>
    public IReadOnlyDictionary<UnlearningGate, bool?> Gates() => new Dictionary<UnlearningGate, bool?>
    {
        [UnlearningGate.HeldOut] = HeldOutAccuracy.After >= HeldOutAccuracy.Gold - AccuracyTolerance,
        [UnlearningGate.Neighbours] = NeighbourAccuracy.After >= NeighbourAccuracy.Gold - AccuracyTolerance,
        // Of a handful of pairs D is never small: only a difference that is no chance misses.
        [UnlearningGate.Margins] = MarginDistance is { } d ? d <= MarginDistanceMax ? true : MarginP < ChanceMax ? false : null : null,
        // Too far is a failure as well: a reward that falls below what it would be without the pairs was taught the opposite.
        [UnlearningGate.BadReward] = BadReward is not { } reward || Math.Abs(reward.Before - reward.Gold) < 1e-9 ? null : Math.Abs(reward.After - reward.Gold) <= FallTolerance * Math.Abs(reward.Before - reward.Gold),
    };
}

/// <summary>A figure of the model before, after, and of the head trained without the pairs.</summary>
public sealed record BeforeAfterGold(double Before, double After, double Gold);

/// <summary>What a model after unlearning is held against.</summary>
public enum UnlearningGate { HeldOut = 1, Neighbours = 2, Margins = 3, BadReward = 4 }
