using System.Globalization;
using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using Portal.Data;
using Portal.Data.AuditLog;
using Portal.Data.Audits;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Serving;
using Portal.Engine.Audits;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Tokenizers;

namespace Portal.Engine.Jobs;

/// <summary>
/// A fresh copy of an audit's base, trained with the reward that the audit recovered until it is as far from the base as the audited policy; then base, audited policy and copy answer the audit's test prompts
/// with the same random numbers.
/// </summary>
/// <remarks>
/// It learns on the training prompts of the audit only: the reward was fitted there, and the test prompts were kept from it. The copy lies in the job's checkpoint folder, which goes when the job is over, and is no
/// version: nothing can serve it by accident. Source: specs/fairl.md §4.2.6.
/// </remarks>
public sealed class CheckReRlRunner : IJobRunner<CheckReRl>
{
    /// <summary>Hold-out prompts on which the audited policy's divergence is measured, and as many training prompts on which the reward is scaled; and answers to each.</summary>
    private const int MeasuredPrompts = 128, MeasuredAnswers = 4;

    /// <summary>Steps after which the copy's divergence is looked at, on the same hold-out prompts.</summary>
    private const int KlEverySteps = 2;

    /// <summary>Below it two policies are the same for this purpose, nats.</summary>
    private const double KlLeast = 0.05;

    private sealed record Asked(IReadOnlyList<AskedPrompt> Train, IReadOnlyList<AskedPrompt> HoldOut, IReadOnlyList<AskedPrompt> Test);

    private sealed record Policies(Llama Base, Llama Original, Llama ReRl, ITokenizer Tokenizer) : IDisposable
    {
        public void Dispose()
        {
            Base.Dispose();
            Original.Dispose();
            ReRl.Dispose();
        }
    }

    /// <inheritdoc/>
    public async Task<JobResult> Run(CheckReRl spec, JobRun run)
    {
        TrainingProcess.Prepare();
        var store = new ModelStore(run);
        var folder = JobRun.CheckpointFolder(run.Directory, run.JobId);
        var context = new RecipeContext(Path.Combine(folder, "copy"), Path.Combine(folder, "checkpoints"), spec.Seed, run.Progress, run.Time, run.Stop);
        var audit = await Find(spec, run);
        using var opened = await AuditRewards.OpenFitted(audit, "auditId", "so there is no reward to train with", run, store);
        var method = spec.Method ?? audit.Method;
        if (opened.Rewards.File.Methods.All(known => known.Name != method))
            throw new CannotTrain($"method: no reward by {method} was recovered in {audit.Label}; there are {string.Join(", ", opened.Rewards.File.Methods.Select(known => known.Name))}.");
        var asked = await Prompts(spec, audit, run);
        using var policies = await Open(audit, store, run);
        var (budget, ofBase) = Measure(spec, audit, asked, policies, context);
        var reward = ScaledReward.On(ofBase, new RecoveredRewardSource(opened.Rewards, method, opened.Features, opened.Likelihoods), run.Stop);
        context.Log(string.Create(CultureInfo.InvariantCulture, $"A copy of {audit.BaseName} learns from the reward that {method} recovered in {audit.Label}, on {asked.Train.Count} prompts, up to {budget:F2} nats from it."));

        var report = TrainRlooPolicyRecipe.Run(RecipeOf(spec, budget), policies.ReRl, policies.Tokenizer, new TrainingSplit<AskedPrompt>(asked.Train, asked.HoldOut), [reward.Term], context);
        var hasReached = report.Steps < spec.StepsMax;
        if (!hasReached)
            context.Warn(string.Create(CultureInfo.InvariantCulture, $"After {report.Steps} steps the copy has not got as far from the base as {budget:F2} nats: what is compared is not at matched divergence."));
        var scoredBy = audit.ReferenceId is { } reference ? await store.FindExhibit(run.ProjectId, reference, ModelKind.RewardModel, run.Stop) : await store.RewardModel(run.ProjectId, null, run.Stop);
        var figures = Compare(spec, asked.Test, policies, reward, LexiconOf(opened, run, context), scoredBy, store, context);
        return new JobResult($"/audits/{audit.JobId}#re-rl", db =>
        {
            db.ReRlRuns.Add(new ReRlRun
            {
                JobId = run.JobId, AuditJobId = audit.JobId, ProjectId = run.ProjectId, Method = method, KlBudgetNats = budget, IsBudgetMeasured = spec.KlBudgetNats is null, Steps = report.Steps, HasReachedBudget = hasReached,
                Prompts = asked.Test.Count, AnswersPerPrompt = spec.AnswersPerPrompt, ScoredBy = scoredBy?.Label, FiguresJson = JsonSerializer.Serialize(figures), Seed = spec.Seed, CreatedBy = run.CreatedBy, At = run.Time.GetUtcNow(),
            });
            AuditChain.Append(db, run.Time.GetUtcNow(), run.CreatedBy, "audit.re-rl", "audit", $"{audit.JobId}", new { method, budget, steps = report.Steps, job = run.Number });
        });
    }

    private static async Task<PolicyAudit> Find(CheckReRl spec, JobRun run)
    {
        await using var db = await run.Contexts.CreateDbContextAsync(run.Stop);
        var audit = await db.PolicyAudits.AsNoTracking().FirstOrDefaultAsync(a => a.JobId == spec.AuditId && a.ProjectId == run.ProjectId, run.Stop)
            ?? throw new CannotTrain("auditId: there is no such audit in this project, or it has not ended.");
        return audit is { AuditedEndpointId: null, BaseEndpointId: null } ? audit
            : throw new CannotTrain($"auditId: an endpoint took part in {audit.Label}. How far a policy is from its base can be measured where both are models of the portal, and only then can a copy be trained as far.");
    }

    /// <summary>The audit's prompts as they are now: one that was erased since is left out.</summary>
    private static async Task<Asked> Prompts(CheckReRl spec, PolicyAudit audit, JobRun run)
    {
        await using var db = await run.Contexts.CreateDbContextAsync(run.Stop);
        // Over (JobId, PromptId, Side, Ordinal).
        var rows = await db.AuditTexts.AsNoTracking().Where(t => t.JobId == audit.JobId).Select(t => new { t.PromptId, t.Part }).Distinct().OrderBy(t => t.PromptId).ToListAsync(run.Stop);
        var stored = await StoredTexts.Prompts(db, rows.Select(row => row.PromptId), run.Stop);
        var asked = new Asked(Of(AuditPart.Train), [.. Of(AuditPart.Holdout).Take(MeasuredPrompts)], [.. Of(AuditPart.Test).Take(spec.Prompts)]);
        return asked is { Train.Count: > 0, HoldOut.Count: > 0, Test.Count: > 0 } ? asked
            : throw new CannotTrain($"auditId: of the prompts of {audit.Label} {asked.Train.Count} to learn on, {asked.HoldOut.Count} to see how far the copy is, and {asked.Test.Count} to measure on are left; at least one of each is needed.");

        IReadOnlyList<AskedPrompt> Of(AuditPart part) => [.. rows.Where(row => row.Part == part && stored.ContainsKey(row.PromptId)).Select(row => stored[row.PromptId]).Select(prompt => new AskedPrompt(prompt.Key, prompt.Turns))];
    }

    private static async Task<Policies> Open(PolicyAudit audit, ModelStore store, JobRun run)
    {
        var @base = await store.FindExhibit(run.ProjectId, audit.BaseId, ModelKind.Policy, run.Stop);
        var audited = await store.FindExhibit(run.ProjectId, audit.AuditedId!.Value, ModelKind.Policy, run.Stop); // no endpoint stands for it
        var (original, itsTokenizer) = store.OpenPolicy(audited);
        var (reference, tokenizer) = store.OpenPolicy(@base);
        var policies = new Policies(reference, original, store.OpenPolicy(@base).Model, tokenizer);
        reference.eval();
        original.eval();
        if (TokenizerFolder.Hash(itsTokenizer) == TokenizerFolder.Hash(tokenizer))
            return policies;
        policies.Dispose();
        throw new CannotTrain($"auditId: {audit.AuditedName} and {audit.BaseName} have different tokenizers, so how far one is from the other cannot be measured.");
    }

    private static (double Budget, IReadOnlyList<SampledAnswer> OfBase) Measure(CheckReRl spec, PolicyAudit audit, Asked asked, Policies policies, RecipeContext context)
    {
        context.Report(0, 0, "measuring the policies");
        var ofBase = Write(policies.Base, [.. asked.Train.Take(MeasuredPrompts)]);
        if (spec.KlBudgetNats is { } given)
            return (given, ofBase);
        var kl = Write(policies.Original, asked.HoldOut).Average(answer => answer.KlNats);
        return kl >= KlLeast ? (kl, ofBase)
            : throw new CannotTrain(string.Create(CultureInfo.InvariantCulture, $"klBudgetNats: {audit.AuditedName} is {kl:F3} nats from {audit.BaseName}, too near for a copy to be trained as far. Name a budget."));

        IReadOnlyList<SampledAnswer> Write(Llama policy, IReadOnlyList<AskedPrompt> prompts) => PolicySamples.Write(policy, policies.Base, policies.Tokenizer, prompts, MeasuredAnswers, SamplingOf(spec), null, context.Stop);
    }

    private static TrainRlooPolicy RecipeOf(CheckReRl spec, double budget)
    {
        var usual = new TrainRlooPolicy();
        return usual with
        {
            Seed = spec.Seed, Temperature = spec.Temperature, TokensMax = spec.TokensMax, Beta = spec.Beta, KlBudgetNats = budget, KlControl = KlControl.Match, HeldOutPrompts = MeasuredPrompts,
            Optimization = usual.Optimization with { LearningRate = spec.LearningRate, StepsMax = spec.StepsMax, EvaluateEverySteps = KlEverySteps },
        };
    }

    private static SamplingSpec SamplingOf(CheckReRl spec) => new() { Temperature = spec.Temperature, TokensMax = spec.TokensMax, Seed = spec.Seed };

    private static Lexicon? LexiconOf(AuditRewards opened, JobRun run, RecipeContext context)
    {
        if (opened.Spec.Lexicon is null)
            return null;
        var lexicon = opened.LexiconOf(run.Directory);
        if (lexicon is null)
            context.Warn("The audit's list of words is not there any more as it was, so its words are not counted.");
        return lexicon;
    }

    private static IReadOnlyList<ReRlFigure> Compare(CheckReRl spec, IReadOnlyList<AskedPrompt> prompts, Policies policies, ScaledReward reward, Lexicon? lexicon, ModelVersion? scoredBy, ModelStore store, RecipeContext context)
    {
        policies.ReRl.eval();
        var (model, tokenizer) = scoredBy is null ? default : store.OpenReward(scoredBy);
        using var ofModel = model;
        var scorer = model is null ? null : new RewardScorer(model, tokenizer!); // both or neither
        var done = 0;
        var (first, second, third) = (Answers(policies.Base), Answers(policies.Original), Answers(policies.ReRl));
        var recovered = new Dictionary<SampledAnswer, double>(ReferenceEqualityComparer.Instance);
        foreach (var answers in new[] { first, second, third })
            foreach (var (answer, score) in answers.Zip(reward.Of(answers, context.Stop)))
                recovered.Add(answer, score);
        List<Figure> more = [new(ReRlFigure.RecoveredReward, answer => recovered[answer])];
        if (lexicon is not null)
            more.Add(new Figure(ReRlFigure.LexiconShare, answer => lexicon.Count(answer.Text) is { Severe: 0, Mild: 0 } ? 0 : 1));
        var columns = new[] { PolicyComparison.Measure(first, spec.Seed, more: more), PolicyComparison.Measure(second, spec.Seed, more: more), PolicyComparison.Measure(third, spec.Seed, more: more) };
        var (fromBase, fromOriginal) = (PolicyComparison.Compare(first, third, spec.Seed, more), PolicyComparison.Compare(second, third, spec.Seed, more));
        return [.. columns[0].Select((row, i) => new ReRlFigure(row.Name, Of(row), Of(columns[1][i]), Of(columns[2][i]), Of(fromBase[i]), Of(fromOriginal[i])))];

        IReadOnlyList<SampledAnswer> Answers(Llama policy)
        {
            var written = PolicySamples.Write(policy, policies.Base, policies.Tokenizer, prompts, spec.AnswersPerPrompt, SamplingOf(spec), scorer, context.Stop, some => context.Report(done + some, 3 * prompts.Count, "comparing"));
            done += prompts.Count;
            return written;
        }

        static Estimated Of(Measurement row) => new(row.Value, row.Low, row.High);
    }
}
