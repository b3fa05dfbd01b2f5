using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
using Portal.Data.Audits;
using Portal.Data.JobSpecs;

namespace Portal.Engine.Audits;

/// <summary>Completions that were written elsewhere, of both policies: JSON, one completion a line.</summary>
/// <remarks>
/// Fields: <c>prompt_id</c> (as in the file of prompts), <c>policy</c> ("audited" or "base"), <c>text</c>; and where they are known <c>finished</c> (true if left out), <c>log_prob_audited</c> and
/// <c>log_prob_base</c> (log π(text | prompt) under either policy, nats), <c>label</c> (true: bad), <c>status</c> ("written", "empty", "refused", "failed") with <c>problem</c> for what was asked and not
/// written. Other fields are refused, so that a misspelt one is not a missing number. A prompt's completions are taken in the order of the lines.
/// </remarks>
public sealed class CompletionFile
{
    private const int LineMax = 1_000_000;

    private static readonly JsonSerializerOptions Json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.SnakeCaseLower, allowIntegerValues: false) },
    };

    private readonly string name, hash;
    private readonly Dictionary<(AuditSide, string), List<Row>> rows = [];

    private CompletionFile(string name, string hash) => (this.name, this.hash) = (name, hash);

    private sealed record Row
    {
        public required string PromptId { get; init; }
        public required AuditSide Policy { get; init; }
        public string? Text { get; init; }
        public bool Finished { get; init; } = true;
        public double? LogProbAudited { get; init; }
        public double? LogProbBase { get; init; }
        public bool? Label { get; init; }
        public CompletionStatus? Status { get; init; }
        public string? Problem { get; init; }

        public double? LogProb(AuditSide side) => side is AuditSide.Audited ? LogProbAudited : LogProbBase;
    }

    /// <summary>Reads a file.</summary>
    /// <exception cref="CannotTrain">It is missing, or a line is wrong; the message names file, line and field.</exception>
    public static CompletionFile Read(string path, CancellationToken stop)
    {
        if (!File.Exists(path))
            throw new CannotTrain($"{path}: there is no such file.");
        using var bytes = File.OpenRead(path);
        var file = new CompletionFile(Path.GetFileName(path), Convert.ToHexStringLower(SHA256.HashData(bytes)));
        foreach (var (index, line) in File.ReadLines(path).Index())
        {
            stop.ThrowIfCancellationRequested();
            if (string.IsNullOrWhiteSpace(line))
                continue;
            var row = RowOf(line, $"{file.name}, line {index + 1}");
            if (!file.rows.TryGetValue((row.Policy, row.PromptId), out var own))
                file.rows[(row.Policy, row.PromptId)] = own = [];
            own.Add(row);
        }
        return file.rows.Count > 0 ? file : throw new CannotTrain($"{file.name} holds no completion.");
    }

    /// <summary>Prompts that the file answers and the audit does not ask: how many, for the log.</summary>
    public int Unasked(IEnumerable<AuditPrompt> prompts) => rows.Keys.Select(key => key.Item2).Except(prompts.Select(prompt => prompt.Id), StringComparer.Ordinal).Count();

    /// <summary>One side's completions as a policy.</summary>
    /// <param name="scorer">Says log-probabilities in place of the file; null: the file's own.</param>
    public IPolicyTexts Of(AuditSide side, IPolicyTexts? scorer = null) => new Side(this, side, scorer);

    private static Row RowOf(string line, string where)
    {
        if (line.Length > LineMax)
            throw new CannotTrain($"{where}: {line.Length} characters; at most {LineMax} are read.");
        Row? row;
        try
        {
            row = JsonSerializer.Deserialize<Row>(line, Json);
        }
        catch (JsonException e)
        {
            throw new CannotTrain($"{where}: {e.Message}", e);
        }
        if (row is null || row.PromptId.Length == 0)
            throw new CannotTrain($"{where}: prompt_id is empty.");
        if (row.Status is null or CompletionStatus.Written && row.Text is null)
            throw new CannotTrain($"{where}: there is no text. Leave a completion without text with its status: empty, refused or failed.");
        if (row.Status is CompletionStatus.Missing)
            throw new CannotTrain($"{where}: status is missing, which is what the audit says of lines that are not there; use empty, refused or failed.");
        foreach (var (field, value) in new[] { ("log_prob_audited", row.LogProbAudited), ("log_prob_base", row.LogProbBase) })
        {
            if (value is { } logProb && !(logProb <= 0 && double.IsFinite(logProb)))
                throw new CannotTrain($"{where}: {field} is {logProb}; a log-probability is finite and not above 0.");
        }
        return row;
    }

    private sealed class Side(CompletionFile file, AuditSide side, IPolicyTexts? scorer) : IPolicyTexts
    {
        public AuditedPolicy Identity => scorer is null ? new AuditedPolicy(file.name, "file", file.hash, null)
            : scorer.Identity with { Name = $"{file.name}, probabilities by {scorer.Identity.Name}", Source = "file", Hash = $"{file.hash}/{scorer.Identity.Hash}" };

        public bool GivesLogProbs => scorer?.GivesLogProbs ?? file.rows.Values.Any(rows => rows.Any(row => row.LogProb(side) is not null));

        public Task<IReadOnlyList<IReadOnlyList<PolicyCompletion>>> Complete(IReadOnlyList<AuditPrompt> prompts, int perPrompt, SamplingSpec sampling, CancellationToken stop) =>
            Task.FromResult<IReadOnlyList<IReadOnlyList<PolicyCompletion>>>([.. prompts.Select(prompt => Of(prompt, perPrompt))]);

        public Task<IReadOnlyList<double?>> LogProbs(IReadOnlyList<AnswerToScore> answers, CancellationToken stop) => scorer is not null ? scorer.LogProbs(answers, stop)
            : Task.FromResult<IReadOnlyList<double?>>([.. answers.Select(answer => Known(answer.Prompt.Id, answer.Text))]);

        private IReadOnlyList<PolicyCompletion> Of(AuditPrompt prompt, int wanted)
        {
            var own = file.rows.GetValueOrDefault((side, prompt.Id), []);
            return
            [
                .. own.Take(wanted).Select(Of),
                .. Enumerable.Repeat(PolicyCompletion.None(CompletionStatus.Missing, $"{file.name} has {own.Count} of {wanted} completions of this prompt by this policy."), Math.Max(0, wanted - own.Count)),
            ];
        }

        private static PolicyCompletion Of(Row row) => row.Status is { } status and not CompletionStatus.Written ? PolicyCompletion.None(status, row.Problem ?? $"The file says: {status}.")
            : PolicyCompletion.Of(row.Text ?? "", row.Finished, label: row.Label);

        private double? Known(string prompt, string text) => new[] { AuditSide.Audited, AuditSide.Base }.SelectMany(writer => file.rows.GetValueOrDefault((writer, prompt), []))
            .FirstOrDefault(row => row.Text?.Trim() == text && row.LogProb(side) is not null)?.LogProb(side);
    }
}
