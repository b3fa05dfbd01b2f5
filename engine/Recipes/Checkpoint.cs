using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Portal.Engine.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.Recipes;

/// <summary>Where a half-done run stands.</summary>
/// <param name="Step">Finished steps.</param>
/// <param name="BestStep">The step whose weights are kept as the best; null while nothing was evaluated.</param>
/// <param name="BestValue">The held-out figure there (higher is better).</param>
/// <param name="EvaluationsWithoutGain">For early stop.</param>
public sealed record RunState(int Step, int? BestStep = null, double? BestValue = null, int EvaluationsWithoutGain = 0)
{
    /// <summary>Training loss of each finished step.</summary>
    public IReadOnlyList<double> Losses { get; init; } = [];

    /// <summary>Reinforcement with a KL coefficient that follows a budget: what it is now; null elsewhere.</summary>
    public double? KlCoefficient { get; init; }

    /// <summary>Reinforcement with a budget at which it stops: divergences of the newest steps that count, nats. Empty elsewhere.</summary>
    public IReadOnlyList<double> NewestKl { get; init; } = [];
}

/// <summary>
/// A run's checkpoint: weights, optimiser, and where it stands, written as one folder that appears whole. A resumed run follows the same
/// trajectory, because the order of the data is a function of seed and epoch and nothing else is random.
/// </summary>
/// <remarks>
/// Layout: <c>step-000120/{weights.safetensors, optimizer.bin, state.json}</c>, written under another name and renamed; the older folder is
/// removed after. <c>best.safetensors</c> beside it holds the best weights so far. A checkpoint of another spec or other data is not used.
/// </remarks>
public sealed class Checkpoint
{
    private const string WeightsFile = "weights.safetensors";
    private const string BestFile = "best.safetensors";
    private readonly string folder;
    private readonly string fingerprint;
    private readonly IReadOnlyDictionary<string, Tensor> weights;

    /// <param name="folder">The run's checkpoint folder.</param>
    /// <param name="fingerprint">What the run is: spec and data, see <see cref="Fingerprint"/>.</param>
    /// <param name="module">Whose parameters are kept.</param>
    public Checkpoint(string folder, string fingerprint, nn.Module module)
    {
        (this.folder, this.fingerprint) = (folder, fingerprint);
        weights = module.named_parameters().ToDictionary(entry => entry.name, entry => (Tensor)entry.parameter);
    }

    private sealed record Stored(string Fingerprint, RunState State);

    /// <summary>Hashes what makes a run the same run: its spec and the texts it is trained on.</summary>
    public static string Fingerprint(params IEnumerable<string> parts)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var part in parts)
        {
            var bytes = Encoding.UTF8.GetBytes(part);
            hash.AppendData(BitConverter.GetBytes(bytes.Length));
            hash.AppendData(bytes);
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>Restores the newest whole checkpoint of this run into module and optimiser.</summary>
    /// <param name="load">Reads the optimiser's state.</param>
    /// <returns>Where the run stands; null when there is nothing to resume.</returns>
    public RunState? Resume(Action<Stream> load)
    {
        foreach (var step in Directory.EnumerateDirectories(folder, "step-*").Where(name => !name.EndsWith(".new", StringComparison.Ordinal)).OrderDescending())
        {
            var stored = JsonSerializer.Deserialize<Stored>(File.ReadAllText(Path.Combine(step, "state.json")));
            if (stored is null || stored.Fingerprint != fingerprint)
                continue;
            Fill(Path.Combine(step, WeightsFile));
            using var file = File.OpenRead(Path.Combine(step, "optimizer.bin"));
            load(file);
            return stored.State;
        }
        return null;
    }

    /// <summary>Keeps the run as it is now.</summary>
    /// <param name="save">Writes the optimiser's state.</param>
    public void Save(Action<Stream> save, RunState state)
    {
        var final = Path.Combine(folder, $"step-{state.Step:D6}");
        var fresh = final + ".new";
        if (Directory.Exists(fresh))
            Directory.Delete(fresh, recursive: true);
        Directory.CreateDirectory(fresh);
        try
        {
            Write(Path.Combine(fresh, WeightsFile));
            ArtefactFile.Write(Path.Combine(fresh, "optimizer.bin"), save);
            ArtefactFile.Write(Path.Combine(fresh, "state.json"), file => JsonSerializer.Serialize(file, new Stored(fingerprint, state)));
        }
        catch
        {
            Directory.Delete(fresh, recursive: true); // a full disk, mostly; the older checkpoint stays whole
            throw;
        }
        if (Directory.Exists(final))
            Directory.Delete(final, recursive: true);
        Directory.Move(fresh, final);
        foreach (var older in Directory.EnumerateDirectories(folder, "step-*").Where(name => name != final).ToList())
            Directory.Delete(older, recursive: true);
    }

    /// <summary>Keeps the weights as the best so far.</summary>
    public void SaveBest() => Write(Path.Combine(folder, BestFile));

    /// <summary>Puts the best weights back; nothing where none were kept.</summary>
    public void RestoreBest()
    {
        var path = Path.Combine(folder, BestFile);
        if (File.Exists(path))
            Fill(path);
    }

    private void Write(string path)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        Safetensors.Write(path, weights.Select(entry => KeyValuePair.Create(entry.Key, entry.Value.detach())), SafetensorsType.F32,
            new Dictionary<string, string> { ["run"] = fingerprint });
    }

    private void Fill(string path)
    {
        using var file = Safetensors.Open(path);
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        foreach (var (name, weight) in weights)
            weight.copy_(file.Read(name));
    }
}
