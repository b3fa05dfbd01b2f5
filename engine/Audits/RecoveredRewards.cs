using System.Text.Json;
using Portal.Data.Audits;
using Portal.Data.JobSpecs;
using Portal.Engine.Irl;

namespace Portal.Engine.Audits;

/// <summary>A text's score under one run.</summary>
/// <param name="Score">At the common scale of the audit's runs.</param>
/// <param name="Z">The same in deviations from the mean of the audit's candidates; 0 for a reward that tells none apart.</param>
public readonly record struct TrialScore(string Method, int Seed, int Bootstrap, double Score, double Z);

/// <summary>All recovered rewards of an audit, kept so that any text can be scored under each of them.</summary>
public sealed class RecoveredRewards
{
    private readonly FeatureScale scale;
    private readonly IReadOnlyList<(string Method, RecoveredRun Run, RecoveredReward Reward)> runs;

    private RecoveredRewards(RecoveredRewardsFile file)
    {
        File = file;
        scale = new FeatureScale(file.Mean, file.Deviation);
        runs = [.. file.Methods.SelectMany(method => method.Runs.Select(run => (method.Name, run, RewardOf(run))))];
    }

    /// <summary>As it is stored.</summary>
    public RecoveredRewardsFile File { get; }

    /// <summary>What the rewards read.</summary>
    public AuditFeatures Features => Enum.Parse<AuditFeatures>(File.Features, ignoreCase: true); // checked when read

    /// <summary>What hidden states were pooled over.</summary>
    public AuditReading Reading => Enum.Parse<AuditReading>(File.Reading, ignoreCase: true);

    /// <summary>Reads the rewards of a report's folder.</summary>
    /// <exception cref="FormatException">There are none, or they are damaged or of another version.</exception>
    public static RecoveredRewards Load(string folder)
    {
        var path = Path.Combine(folder, RecoveredRewardsFile.FileName);
        try
        {
            var file = JsonSerializer.Deserialize<RecoveredRewardsFile>(System.IO.File.ReadAllBytes(path), AuditLines.Json) ?? throw new FormatException($"{path} is empty.");
            if (file.SchemaVersion != AuditReport.CurrentSchema)
                throw new FormatException($"{path} has schemaVersion {file.SchemaVersion}; this program reads {AuditReport.CurrentSchema}.");
            var d = file.Names.Count;
            if (!Enum.TryParse<AuditFeatures>(file.Features, ignoreCase: true, out _) || !Enum.TryParse<AuditReading>(file.Reading, ignoreCase: true, out _))
                throw new FormatException($"{path}: these rewards read \"{file.Features}\" as \"{file.Reading}\", which this program does not know.");
            if (file.Mean.Length != d || file.Deviation.Length != d || file.Methods.Any(method => method.Runs.Any(run => !Fits(run, d))))
                throw new FormatException($"{path} is damaged: its {d} features do not fit its weights.");
            return new RecoveredRewards(file);
        }
        catch (Exception e) when (e is JsonException or FileNotFoundException or DirectoryNotFoundException)
        {
            throw new FormatException($"{path}: {e.Message}", e);
        }
    }

    /// <summary>Scores a text under every run of every method.</summary>
    /// <param name="features">As the audit read them (<see cref="ITextFeatures"/>). [d].</param>
    /// <exception cref="ArgumentException">Another number of features.</exception>
    public IReadOnlyList<TrialScore> Score(float[] features)
    {
        var z = Scaled(features);
        return [.. runs.Select(entry => (entry.Method, entry.Run, Score: entry.Run.Factor * entry.Reward.Score(z)))
            .Select(entry => new TrialScore(entry.Method, entry.Run.Seed, entry.Run.Bootstrap, entry.Score, entry.Run.Spread > 0 ? (entry.Score - entry.Run.Centre) / entry.Run.Spread : 0))];
    }

    /// <summary>The mean of a method's runs at their common scale: the reward that the audit's comparisons are of.</summary>
    /// <param name="method">One of the file's.</param>
    /// <param name="features">As for <see cref="Score"/>. [d].</param>
    /// <exception cref="ArgumentException">No such method, or another number of features.</exception>
    public double Mean(string method, float[] features)
    {
        var z = Scaled(features);
        var own = runs.Where(entry => entry.Method == method).Select(entry => entry.Run.Factor * entry.Reward.Score(z)).ToArray();
        return own.Length > 0 ? own.Average()
            : throw new ArgumentException($"There is no reward by {method}; there are {string.Join(", ", File.Methods.Select(known => known.Name))}.", nameof(method));
    }

    private double[] Scaled(float[] features)
    {
        if (features.Length != scale.Width)
            throw new ArgumentException($"{features.Length} features were given; these rewards read {scale.Width}.", nameof(features));
        var z = new double[scale.Width];
        scale.Apply(features, z);
        return z;
    }

    /// <summary>What is kept of an audit.</summary>
    internal static RecoveredRewardsFile FileOf(AuditReward spec, string readerHash, string? saeHash, IReadOnlyList<string> names, FeatureScale scale, IReadOnlyList<MethodResult> results) => new(
        AuditReport.CurrentSchema, NameOf(spec.Features), NameOf(spec.Reading), readerHash, names, scale.Mean, scale.Deviation,
        [.. results.Select(result => new RecoveredMethod(result.Method, [.. result.Runs.Select(RunOf)]))], saeHash);

    /// <summary>An option's name as files spell it.</summary>
    internal static string NameOf(Enum option) => JsonNamingPolicy.CamelCase.ConvertName(option.ToString());

    private static RecoveredRun RunOf(MethodRun run)
    {
        var (centre, spread) = MomentsOf(run.Scores);
        var reward = run.Fit.Reward;
        return new RecoveredRun(run.Seed, run.Bootstrap, run.Factor, centre, spread, reward.Theta, reward.Lambda, reward.Correction?.Input, reward.Correction?.Offset, reward.Correction?.Output);
    }

    /// <summary>Mean and population deviation; 0 and 0 of nothing.</summary>
    internal static (double Mean, double Deviation) MomentsOf(IReadOnlyCollection<double> values)
    {
        if (values.Count == 0)
            return (0, 0);
        var mean = values.Average();
        var deviation = Math.Sqrt(values.Average(value => (value - mean) * (value - mean)));
        return (mean, deviation > 1e-12 * Math.Abs(mean) ? deviation : 0);
    }

    private static RecoveredReward RewardOf(RecoveredRun run) => new(run.Theta,
        run is { CorrectionInput: { } input, CorrectionOffset: { } offset, CorrectionOutput: { } output } ? new CorrectionPath(input, offset, output) : null, run.Lambda);

    private static bool Fits(RecoveredRun run, int d) => run.Theta.Length == d && (run.CorrectionInput, run.CorrectionOffset, run.CorrectionOutput) is var (input, offset, output)
        && (input is null ? offset is null && output is null : offset is not null && output is not null && offset.Length == output.Length && input.Length == d * output.Length);
}
