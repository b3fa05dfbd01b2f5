using Microsoft.AspNetCore.Identity;
using Microsoft.AspNetCore.Identity.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Storage.ValueConversion;
using Portal.Data.Accounts;
using Portal.Data.Annotators;
using Portal.Data.AuditLog;
using Portal.Data.Audits;
using Portal.Data.Datasets;
using Portal.Data.Endpoints;
using Portal.Data.Erasure;
using Portal.Data.Explanations;
using Portal.Data.Feedback;
using Portal.Data.Jobs;
using Portal.Data.Registry;
using Portal.Data.Review;
using Portal.Data.SaeFeatures;
using Portal.Data.Unlearning;

namespace Portal.Data;

/// <summary>
/// All tables, one model for both providers. Use it through <see cref="IDbContextFactory{TContext}"/>, one context per operation; writes go
/// through <c>WriteQueue</c>.
/// </summary>
public abstract class PortalDbContext(DbContextOptions options) : IdentityDbContext<Account, IdentityRole<Guid>, Guid>(options)
{
    public DbSet<Project> Projects => Set<Project>();
    public DbSet<Content> Contents => Set<Content>();
    public DbSet<Prompt> Prompts => Set<Prompt>();
    public DbSet<Response> Responses => Set<Response>();
    public DbSet<AnnotationTask> Tasks => Set<AnnotationTask>();
    public DbSet<Assignment> Assignments => Set<Assignment>();
    public DbSet<TaskEvent> TaskEvents => Set<TaskEvent>();
    public DbSet<Draft> Drafts => Set<Draft>();
    public DbSet<PairwiseJudgement> PairwiseJudgements => Set<PairwiseJudgement>();
    public DbSet<BinaryJudgement> BinaryJudgements => Set<BinaryJudgement>();
    public DbSet<Annotator> Annotators => Set<Annotator>();
    public DbSet<AnnotatorAccount> AnnotatorAccounts => Set<AnnotatorAccount>();
    public DbSet<Flag> Flags => Set<Flag>();
    public DbSet<Import> Imports => Set<Import>();
    public DbSet<ImportProblem> ImportProblems => Set<ImportProblem>();
    public DbSet<DatasetVersion> DatasetVersions => Set<DatasetVersion>();
    public DbSet<DatasetRow> DatasetRows => Set<DatasetRow>();
    public DbSet<ModelVersion> ModelVersions => Set<ModelVersion>();
    public DbSet<ReleaseRecord> Releases => Set<ReleaseRecord>();
    public DbSet<EvaluationResult> EvaluationResults => Set<EvaluationResult>();
    public DbSet<EvaluationSample> EvaluationSamples => Set<EvaluationSample>();
    public DbSet<BestOfNRun> BestOfNRuns => Set<BestOfNRun>();
    public DbSet<BestOfNAnswer> BestOfNAnswers => Set<BestOfNAnswer>();
    public DbSet<FeatureDescription> FeatureDescriptions => Set<FeatureDescription>();
    public DbSet<SaeFeature> SaeFeatures => Set<SaeFeature>();
    public DbSet<FeatureContext> FeatureContexts => Set<FeatureContext>();
    public DbSet<FeatureLabel> FeatureLabels => Set<FeatureLabel>();
    public DbSet<ToggleSet> ToggleSets => Set<ToggleSet>();
    public DbSet<PolicyEndpoint> PolicyEndpoints => Set<PolicyEndpoint>();
    public DbSet<PolicyAudit> PolicyAudits => Set<PolicyAudit>();
    public DbSet<ReRlRun> ReRlRuns => Set<ReRlRun>();
    public DbSet<DriftRun> DriftRuns => Set<DriftRun>();
    public DbSet<AuditTextRow> AuditTexts => Set<AuditTextRow>();
    public DbSet<Explanation> Explanations => Set<Explanation>();
    public DbSet<ExplainingPair> ExplainingPairs => Set<ExplainingPair>();
    public DbSet<ExplanationLimits> ExplanationLimits => Set<ExplanationLimits>();
    public DbSet<PairMark> PairMarks => Set<PairMark>();
    public DbSet<UnlearningRequest> UnlearningRequests => Set<UnlearningRequest>();
    public DbSet<UnlearningPair> UnlearningPairs => Set<UnlearningPair>();
    public DbSet<ErasureRequest> ErasureRequests => Set<ErasureRequest>();
    public DbSet<ErasurePrompt> ErasurePrompts => Set<ErasurePrompt>();
    public DbSet<Job> Jobs => Set<Job>();
    public DbSet<JobEvent> JobEvents => Set<JobEvent>();
    public DbSet<MetricPoint> MetricPoints => Set<MetricPoint>();
    public DbSet<Invitation> Invitations => Set<Invitation>();
    public DbSet<AuditEvent> AuditEvents => Set<AuditEvent>();

    /// <summary>
    /// Keeps others from appending to the audit chain until this transaction ends. SQLite's write lock, held since BEGIN IMMEDIATE, does so
    /// already.
    /// </summary>
    public abstract void LockAuditChain();

    /// <summary>Keeps others from leasing this task until this transaction ends. SQLite's write lock does so already.</summary>
    public abstract void LockTask(TaskId task);

    /// <summary>
    /// Keeps others from numbering, starting or ending jobs until this transaction ends: a job's state is read and changed under it. SQLite's
    /// write lock does so already.
    /// </summary>
    public abstract void LockJobs();

    /// <summary>
    /// Keeps others from making annotators until this transaction ends: that an account has none, and that a pseudonym is free, is read under it.
    /// SQLite's write lock does so already.
    /// </summary>
    public abstract void LockAnnotators();

    /// <inheritdoc/>
    protected override void ConfigureConventions(ModelConfigurationBuilder configuration)
    {
        Id<ProjectId>(configuration);
        Id<PromptId>(configuration);
        Id<ResponseId>(configuration);
        Id<ContentId>(configuration);
        Id<TaskId>(configuration);
        Id<AssignmentId>(configuration);
        Id<JudgementId>(configuration);
        Id<AnnotatorId>(configuration);
        Id<FlagId>(configuration);
        Id<ImportId>(configuration);
        Id<DatasetVersionId>(configuration);
        Id<ModelVersionId>(configuration);
        Id<JobId>(configuration);
        Id<InvitationId>(configuration);
        Id<ReleaseId>(configuration);
        Id<FeatureDescriptionId>(configuration);
        Id<FeatureLabelId>(configuration);
        Id<ToggleSetId>(configuration);
        Id<PolicyEndpointId>(configuration);
        Id<ExplanationId>(configuration);
        Id<PairMarkId>(configuration);
        Id<UnlearningRequestId>(configuration);
        Id<ErasureRequestId>(configuration);

        static void Id<T>(ModelConfigurationBuilder configuration) where T : struct, IEntityId<T> =>
            configuration.Properties<T>().HaveConversion<IdConverter<T>>();
    }

    /// <inheritdoc/>
    protected override void OnModelCreating(ModelBuilder builder)
    {
        base.OnModelCreating(builder);

        builder.Entity<Project>(project =>
        {
            project.Property(p => p.Name).HasMaxLength(Project.NameLengthMax);
            project.HasIndex(p => p.Name).IsUnique();
            project.Property(p => p.RowVersion).IsConcurrencyToken();
        });

        builder.Entity<Content>(content =>
        {
            content.Property(c => c.KeyedHash).HasMaxLength(64);
            content.HasIndex(c => new { c.ProjectId, c.KeyedHash });
            content.HasOne<Project>().WithMany().HasForeignKey(c => c.ProjectId);
        });

        builder.Entity<Prompt>(prompt =>
        {
            prompt.Property(p => p.ContentHash).HasMaxLength(64);
            // One prompt a text and project; an import that is still staging may hold the same one until its flip decides.
            prompt.HasIndex(p => new { p.ProjectId, p.ContentHash }).IsUnique();
            prompt.HasIndex(p => p.ImportId);
            prompt.HasOne<Project>().WithMany().HasForeignKey(p => p.ProjectId);
            prompt.HasOne<Content>().WithMany().HasForeignKey(p => p.ContentId);
        });

        builder.Entity<Response>(response =>
        {
            response.Property(r => r.ContentHash).HasMaxLength(64);
            response.HasIndex(r => new { r.PromptId, r.ModelVersionId, r.ContentHash });
            response.HasIndex(r => r.ImportId);
            response.HasIndex(r => r.ModelVersionId);
            response.HasOne<Prompt>().WithMany().HasForeignKey(r => r.PromptId);
            response.HasOne<Content>().WithMany().HasForeignKey(r => r.ContentId);
        });

        builder.Entity<AnnotationTask>(task =>
        {
            // NextTask: open tasks of a project, highest priority first, ties by id.
            task.HasIndex(t => new { t.ProjectId, t.State, t.Kind, t.Priority, t.Id }).IsDescending(false, false, false, true, false);
            task.HasIndex(t => t.PromptId);
            task.HasIndex(t => t.ImportId);
            task.HasIndex(t => t.CandidateId);
            task.HasOne<Project>().WithMany().HasForeignKey(t => t.ProjectId);
            task.HasOne<Prompt>().WithMany().HasForeignKey(t => t.PromptId);
            task.HasOne<Response>().WithMany().HasForeignKey(t => t.FirstResponseId);
            task.HasOne<Response>().WithMany().HasForeignKey(t => t.SecondResponseId);
        });

        builder.Entity<Assignment>(assignment =>
        {
            assignment.HasIndex(a => new { a.TaskId, a.AnnotatorId }).IsUnique();
            assignment.HasIndex(a => new { a.TaskId, a.Slot }).IsUnique();
            assignment.HasIndex(a => new { a.AnnotatorId, a.ProjectId, a.State });
            assignment.HasOne<AnnotationTask>().WithMany().HasForeignKey(a => a.TaskId);
        });

        builder.Entity<TaskEvent>(e =>
        {
            e.HasIndex(t => new { t.AnnotatorId, t.ProjectId, t.Id });
            e.HasIndex(t => t.TaskId);
        });

        builder.Entity<Draft>(draft => draft.HasKey(d => d.AssignmentId));

        builder.Entity<PairwiseJudgement>(judgement =>
        {
            Judged(judgement);
            judgement.Ignore(j => j.Margin);
        });
        builder.Entity<BinaryJudgement>(judgement => Judged(judgement));

        builder.Entity<Annotator>(annotator =>
        {
            annotator.Property(a => a.Pseudonym).HasMaxLength(200);
            annotator.HasIndex(a => a.Pseudonym).IsUnique();
        });
        builder.Entity<AnnotatorAccount>(link =>
        {
            link.HasKey(l => l.AccountId);
            link.HasIndex(l => l.AnnotatorId).IsUnique();
            link.HasOne<Account>().WithMany().HasForeignKey(l => l.AccountId);
        });

        builder.Entity<Flag>(flag =>
        {
            flag.HasIndex(f => new { f.ProjectId, f.State, f.Id });
            flag.HasIndex(f => f.ResponseId);
            // ListFlags: the queue in its order, flags alike, what one person flagged, service times.
            flag.HasIndex(f => new { f.State, f.Severity, f.At, f.Id }).IsDescending(false, true, false, false);
            flag.HasIndex(f => new { f.ProjectId, f.AlikeKey, f.State });
            flag.HasIndex(f => new { f.AnnotatorId, f.At });
            flag.HasIndex(f => f.At);
            flag.HasIndex(f => f.ClosedAt);
            flag.Property(f => f.AlikeKey).HasMaxLength(Flag.AlikeKeyLengthMax).UsePropertyAccessMode(PropertyAccessMode.Property); // its getter knows what stands where none was given
            flag.Property(f => f.RowVersion).IsConcurrencyToken();
            flag.HasOne<Response>().WithMany().HasForeignKey(f => f.ResponseId);
        });

        builder.Entity<Import>().HasIndex(i => new { i.ProjectId, i.Id });
        builder.Entity<ImportProblem>().HasIndex(p => new { p.ImportId, p.Row });

        builder.Entity<DatasetVersion>(version =>
        {
            version.HasIndex(v => new { v.ProjectId, v.Number }).IsUnique();
            version.Property(v => v.ManifestHash).HasMaxLength(64);
        });
        builder.Entity<DatasetRow>(row =>
        {
            row.HasKey(r => new { r.DatasetVersionId, r.Ordinal });
            row.HasIndex(r => r.JudgementId);
            row.HasOne<DatasetVersion>().WithMany().HasForeignKey(r => r.DatasetVersionId);
        });

        builder.Entity<ModelVersion>(version =>
        {
            version.HasIndex(v => new { v.ProjectId, v.Kind, v.Number }).IsUnique();
            version.HasIndex(v => v.JobId);
            version.HasIndex(v => v.DatasetVersionId);
            version.HasIndex(v => v.ParentId);
            version.Ignore(v => v.Label);
            version.Ignore(v => v.HasFeatures);
        });
        builder.Entity<ReleaseRecord>().HasIndex(r => new { r.ProjectId, r.Kind, r.Id });
        builder.Entity<EvaluationResult>().HasIndex(r => new { r.ModelVersionId, r.Name, r.Part });
        builder.Entity<EvaluationSample>().HasIndex(s => new { s.CandidateId, s.PromptId });
        builder.Entity<BestOfNRun>(run =>
        {
            run.HasKey(r => r.JobId);
            run.HasIndex(r => new { r.AfterId, r.At });
            run.HasOne<ModelVersion>().WithMany().HasForeignKey(r => r.AfterId);
        });
        builder.Entity<BestOfNAnswer>().HasIndex(a => new { a.JobId, a.PromptId, a.Ordinal }).IsUnique();

        builder.Entity<FeatureDescription>(description =>
        {
            description.HasIndex(d => new { d.ModelVersionId, d.At });
            description.Property(d => d.CodesSha256).HasMaxLength(64);
            description.HasOne<ModelVersion>().WithMany().HasForeignKey(d => d.ModelVersionId);
        });
        builder.Entity<SaeFeature>(feature =>
        {
            feature.HasKey(f => new { f.DescriptionId, f.Latent });
            feature.HasOne<FeatureDescription>().WithMany().HasForeignKey(f => f.DescriptionId);
        });
        builder.Entity<FeatureContext>(context =>
        {
            context.HasIndex(c => new { c.DescriptionId, c.Latent, c.Band });
            context.HasOne<FeatureDescription>().WithMany().HasForeignKey(c => c.DescriptionId);
        });
        builder.Entity<FeatureLabel>(label =>
        {
            label.HasIndex(l => new { l.ModelVersionId, l.Latent, l.Version }).IsUnique();
            label.Property(l => l.Text).HasMaxLength(FeatureLabel.TextLengthMax);
            label.Property(l => l.Pattern).HasMaxLength(FeatureLabel.PatternLengthMax);
            label.Ignore(l => l.Unscored);
            label.HasOne<ModelVersion>().WithMany().HasForeignKey(l => l.ModelVersionId);
        });
        builder.Entity<ToggleSet>(set =>
        {
            set.HasIndex(s => new { s.ProjectId, s.Number }).IsUnique();
            set.HasIndex(s => s.ModelVersionId);
            set.HasIndex(s => s.PublishedVersionId);
            set.Property(s => s.Name).HasMaxLength(ToggleSet.NameLengthMax);
            set.Property(s => s.Reason).HasMaxLength(ToggleSet.ReasonLengthMax);
            set.Property(s => s.DecisionNote).HasMaxLength(ToggleSet.NoteLengthMax);
            set.Property(s => s.Target).HasMaxLength(FeatureLabel.PatternLengthMax);
            set.Property(s => s.RowVersion).IsConcurrencyToken();
            set.Ignore(s => s.IsSelfApproved);
            set.HasOne<ModelVersion>().WithMany().HasForeignKey(s => s.ModelVersionId);
        });

        builder.Entity<PolicyEndpoint>(endpoint =>
        {
            endpoint.HasIndex(e => new { e.ProjectId, e.Name }).IsUnique();
            endpoint.Property(e => e.Name).HasMaxLength(PolicyEndpoint.NameLengthMax);
            endpoint.Property(e => e.BaseUrl).HasMaxLength(PolicyEndpoint.BaseUrlLengthMax);
            endpoint.Property(e => e.Model).HasMaxLength(PolicyEndpoint.ModelLengthMax);
            endpoint.Property(e => e.RowVersion).IsConcurrencyToken();
            endpoint.Ignore(e => e.HasKey);
            endpoint.Ignore(e => e.HasConsent);
            endpoint.HasOne<Project>().WithMany().HasForeignKey(e => e.ProjectId);
        });

        builder.Entity<PolicyAudit>(audit =>
        {
            audit.HasKey(a => a.JobId);
            audit.HasIndex(a => new { a.ProjectId, a.Number }).IsUnique();
            audit.HasIndex(a => new { a.AuditedId, a.At });
            audit.HasIndex(a => new { a.BaseId, a.At });
            audit.Property(a => a.AuditedName).HasMaxLength(PolicyAudit.NameLengthMax);
            audit.Property(a => a.BaseName).HasMaxLength(PolicyAudit.NameLengthMax);
            audit.Property(a => a.Sentence).HasMaxLength(PolicyAudit.SentenceLengthMax);
            audit.Property(a => a.ManifestSha256).HasMaxLength(64);
            audit.Ignore(a => a.Label);
            audit.Ignore(a => a.IsGrey);
            audit.HasOne<Project>().WithMany().HasForeignKey(a => a.ProjectId);
        });
        builder.Entity<ReRlRun>(run =>
        {
            run.HasKey(r => r.JobId);
            run.HasIndex(r => new { r.AuditJobId, r.At });
            run.Property(r => r.Method).HasMaxLength(PolicyAudit.NameLengthMax);
            run.Property(r => r.ScoredBy).HasMaxLength(PolicyAudit.NameLengthMax);
            run.HasOne<PolicyAudit>().WithMany().HasForeignKey(r => r.AuditJobId);
        });
        builder.Entity<DriftRun>(run =>
        {
            run.HasKey(r => r.JobId);
            run.HasIndex(r => new { r.ProjectId, r.At });
            run.Property(r => r.Method).HasMaxLength(PolicyAudit.NameLengthMax);
            run.HasOne<Project>().WithMany().HasForeignKey(r => r.ProjectId);
        });
        builder.Entity<AuditTextRow>(text =>
        {
            text.HasKey(t => new { t.JobId, t.PromptId, t.Side, t.Ordinal });
            text.Property(t => t.Problem).HasMaxLength(AuditTextRow.ProblemLengthMax);
            text.Ignore(t => t.TextId);
        });

        builder.Entity<Explanation>(explanation =>
        {
            explanation.HasIndex(e => new { e.ProjectId, e.At });
            explanation.HasIndex(e => e.FlagId);
            explanation.HasIndex(e => e.ResponseId);
            explanation.HasIndex(e => new { e.RewardModelId, e.At });
            explanation.Ignore(e => e.Unexplained);
            explanation.Ignore(e => e.ExplainedShare);
            explanation.HasOne<Project>().WithMany().HasForeignKey(e => e.ProjectId);
        });
        builder.Entity<ExplainingPair>(pair =>
        {
            pair.HasKey(p => new { p.ExplanationId, p.JudgementId });
            // In how many other explanations a judgement takes part: the blast radius of a request.
            pair.HasIndex(p => p.JudgementId);
            pair.Ignore(p => p.RewardShare);
            pair.HasOne<Explanation>().WithMany().HasForeignKey(p => p.ExplanationId);
        });
        builder.Entity<ExplanationLimits>().HasKey(l => new { l.RewardModelId, l.Mode, l.Space, l.Method });
        builder.Entity<PairMark>(mark =>
        {
            mark.HasIndex(m => new { m.ExplanationId, m.JudgementId, m.By, m.At });
            mark.HasIndex(m => m.JudgementId);
            mark.HasOne<Explanation>().WithMany().HasForeignKey(m => m.ExplanationId);
        });
        builder.Entity<UnlearningRequest>(request =>
        {
            request.HasIndex(r => new { r.ProjectId, r.Number }).IsUnique();
            request.HasIndex(r => r.ExplanationId);
            request.HasIndex(r => r.VersionId);
            request.Property(r => r.Action).HasDefaultValue(UnlearningAction.Remove); // requests of before there was another
            request.Property(r => r.Reason).HasMaxLength(UnlearningRequest.ReasonLengthMax);
            request.Property(r => r.DecisionNote).HasMaxLength(UnlearningRequest.NoteLengthMax);
            request.Property(r => r.RowVersion).IsConcurrencyToken();
            request.Ignore(r => r.Share);
            request.Ignore(r => r.ApprovalsNeeded);
            request.Ignore(r => r.IsOpen);
            request.HasOne<ModelVersion>().WithMany().HasForeignKey(r => r.RewardModelId);
            request.HasOne<Explanation>().WithMany().HasForeignKey(r => r.ExplanationId);
        });
        builder.Entity<UnlearningPair>(pair =>
        {
            pair.HasKey(p => new { p.RequestId, p.JudgementId });
            pair.HasIndex(p => p.JudgementId);
            pair.HasOne<UnlearningRequest>().WithMany().HasForeignKey(p => p.RequestId);
        });

        builder.Entity<ErasureRequest>(request =>
        {
            request.HasIndex(r => r.Number).IsUnique();
            request.HasIndex(r => r.AnnotatorId);
            request.Property(r => r.Reason).HasMaxLength(ErasureRequest.ReasonLengthMax);
            request.Property(r => r.DecisionNote).HasMaxLength(ErasureRequest.NoteLengthMax);
            request.Property(r => r.ProofSha256).HasMaxLength(64);
            request.Property(r => r.RowVersion).IsConcurrencyToken();
            request.Ignore(r => r.IsOpen);
            request.HasOne<Project>().WithMany().HasForeignKey(r => r.ProjectId);
        });
        builder.Entity<ErasurePrompt>(prompt =>
        {
            prompt.HasKey(p => new { p.RequestId, p.PromptId });
            prompt.HasIndex(p => p.PromptId);
            prompt.HasOne<ErasureRequest>().WithMany().HasForeignKey(p => p.RequestId);
        });

        builder.Entity<Job>(job =>
        {
            job.HasIndex(j => j.Number).IsUnique();
            job.HasIndex(j => new { j.State, j.Number });
            job.HasIndex(j => new { j.ProjectId, j.Number });
            job.Ignore(j => j.IsOver);
        });
        builder.Entity<JobEvent>().HasIndex(e => new { e.JobId, e.Id });
        builder.Entity<MetricPoint>().HasKey(p => new { p.JobId, p.Name, p.Step });

        builder.Entity<Invitation>().HasIndex(i => i.TokenHash).IsUnique();
        builder.Entity<AuditEvent>(e =>
        {
            e.HasKey(a => a.Sequence);
            e.Property(a => a.Sequence).ValueGeneratedNever();
            e.HasIndex(a => new { a.EntityKind, a.EntityId });
        });

        // Rows of an import are staged in batches and shown by one flip of the import's state. What writes or removes staged rows asks with
        // IgnoreQueryFilters(). Imports is named in each filter: EF does not look inside a property of our own.
        builder.Entity<Prompt>().HasQueryFilter(p => p.ImportId == null || Imports.Any(i => i.State == ImportState.Visible && i.Id == p.ImportId));
        builder.Entity<Response>().HasQueryFilter(r => r.ImportId == null || Imports.Any(i => i.State == ImportState.Visible && i.Id == r.ImportId));
        builder.Entity<AnnotationTask>().HasQueryFilter(t => t.ImportId == null || Imports.Any(i => i.State == ImportState.Visible && i.Id == t.ImportId));
        builder.Entity<PairwiseJudgement>().HasQueryFilter(j => j.ImportId == null || Imports.Any(i => i.State == ImportState.Visible && i.Id == j.ImportId));
        builder.Entity<BinaryJudgement>().HasQueryFilter(j => j.ImportId == null || Imports.Any(i => i.State == ImportState.Visible && i.Id == j.ImportId));

        // Its latents and contexts are stored in small writes under a description without a hash; the hash is set with the job's success and shows all of it.
        builder.Entity<FeatureDescription>().HasQueryFilter(d => d.CodesSha256 != "");

        // Erasing or removing is never a side effect of a foreign key.
        foreach (var key in builder.Model.GetEntityTypes().SelectMany(type => type.GetForeignKeys()))
            if (key.PrincipalEntityType.ClrType.Namespace!.StartsWith("Portal.Data", StringComparison.Ordinal))
                key.DeleteBehavior = DeleteBehavior.Restrict;

        static void Judged<T>(Microsoft.EntityFrameworkCore.Metadata.Builders.EntityTypeBuilder<T> judgement) where T : Judgement
        {
            judgement.HasIndex(j => j.SupersedesId).IsUnique();
            judgement.HasIndex(j => j.TaskId);
            judgement.HasIndex(j => new { j.ProjectId, j.SubmittedAt });
            judgement.HasIndex(j => new { j.AnnotatorId, j.SubmittedAt });
            judgement.HasIndex(j => j.ImportId);
            judgement.HasOne<AnnotationTask>().WithMany().HasForeignKey(j => j.TaskId);
        }
    }
}

/// <summary>The model on SQLite, the default for one node.</summary>
public sealed class SqlitePortalDbContext(DbContextOptions<SqlitePortalDbContext> options) : PortalDbContext(options)
{
    /// <inheritdoc/>
    public override void LockAuditChain() { }

    /// <inheritdoc/>
    public override void LockTask(TaskId task) { }

    /// <inheritdoc/>
    public override void LockJobs() { }

    /// <inheritdoc/>
    public override void LockAnnotators() { }

    /// <inheritdoc/>
    protected override void ConfigureConventions(ModelConfigurationBuilder configuration)
    {
        base.ConfigureConventions(configuration);
        // SQLite has no time type that sorts: UTC ticks do.
        configuration.Properties<DateTimeOffset>().HaveConversion<UtcTicksConverter>();
    }

    private sealed class UtcTicksConverter() : ValueConverter<DateTimeOffset, long>(
        time => time.UtcTicks, ticks => new DateTimeOffset(ticks, TimeSpan.Zero));
}

/// <summary>The model on PostgreSQL, for several nodes.</summary>
public sealed class PostgresPortalDbContext(DbContextOptions<PostgresPortalDbContext> options) : PortalDbContext(options)
{
    private const long AuditChainLock = 0x504f5254414c; // "PORTAL"
    private const long JobsLock = 0x504f4a4f4253; // "POJOBS"
    private const long AnnotatorsLock = 0x504f414e4e4f; // "POANNO"

    /// <inheritdoc/>
    public override void LockAuditChain() => Database.ExecuteSql($"SELECT pg_advisory_xact_lock({AuditChainLock})");

    /// <inheritdoc/>
    public override void LockTask(TaskId task) =>
        Database.ExecuteSql($"""SELECT 1 FROM "Tasks" WHERE "Id" = {task.Value} FOR UPDATE""");

    /// <inheritdoc/>
    public override void LockJobs() => Database.ExecuteSql($"SELECT pg_advisory_xact_lock({JobsLock})");

    /// <inheritdoc/>
    public override void LockAnnotators() => Database.ExecuteSql($"SELECT pg_advisory_xact_lock({AnnotatorsLock})");

    /// <inheritdoc/>
    protected override void ConfigureConventions(ModelConfigurationBuilder configuration)
    {
        base.ConfigureConventions(configuration);
        // timestamptz takes UTC only.
        configuration.Properties<DateTimeOffset>().HaveConversion<UtcConverter>();
    }

    private sealed class UtcConverter() : ValueConverter<DateTimeOffset, DateTimeOffset>(time => time.ToUniversalTime(), time => time);
}
