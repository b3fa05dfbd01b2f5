using System.Text.Json;
using Portal.Data.Registry;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Sae;
using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.Jobs;

/// <summary>The layouts other programs read.</summary>
public enum SaeLayout
{
    /// <summary>SAELens, version 6.</summary>
    SaeLens,

    /// <summary>sparsify.</summary>
    Sparsify,
}

/// <summary>
/// Writes the SAE of a version, or the one inside a SARM reward model with its head beside it, into a folder that other programs read. The folder appears whole or
/// not at all.
/// </summary>
public sealed class ExportSae(ModelStore store)
{
    private const string SarmSae = "sae", SparsityFile = "sparsity.safetensors";

    /// <param name="to">A folder that is not there yet, or empty.</param>
    /// <exception cref="CannotTrain">The version has no SAE, a file of it is not the stored one, the layout has no place for what it is, or the folder is not empty.</exception>
    public void Run(ModelVersion version, SaeLayout layout, string to)
    {
        if (store.Verify(version) is { } problem)
            throw new CannotTrain(problem);
        var folder = store.FolderOf(version);
        var isSarm = version.Kind is ModelKind.RewardModel && SarmFolder.Is(folder);
        if (version.Kind is not ModelKind.SparseAutoencoder && !isSarm)
            throw new CannotTrain($"{version.Label} has no SAE; name an SAE, or a reward model that was trained on one.");
        if (Directory.Exists(to) && Directory.EnumerateFileSystemEntries(to).Any())
            throw new CannotTrain($"{to}: the folder is not empty.");
        using var sae = CommandLine.ModelFolder.Sae(isSarm ? Path.Combine(folder, SarmSae) : folder);
        var fresh = $"{Path.TrimEndingDirectorySeparator(Path.GetFullPath(to))}.{Environment.ProcessId}.new";
        try
        {
            if (layout is SaeLayout.Sparsify)
                SaeFolder.ExportSparsify(sae, fresh);
            else
                SaeFolder.Save(sae, fresh, sae.Config.ModelHash is { } hash ? hash[..12] : "unknown");
            if (layout is SaeLayout.SaeLens)
                WriteSparsity(Path.Combine(folder, TrainSaeRecipe.UseFile), fresh);
            if (isSarm)
                foreach (var file in SarmFolder.HeadFiles)
                    File.Copy(Path.Combine(folder, file), Path.Combine(fresh, file));
            if (Directory.Exists(to))
                Directory.Delete(to); // empty
            Directory.Move(fresh, to);
        }
        catch
        {
            if (Directory.Exists(fresh))
                Directory.Delete(fresh, recursive: true);
            throw;
        }
    }

    /// <summary>How often each latent fires, as SAELens keeps it: log10(frequency + 1e-10). Not every SAE knows.</summary>
    private static void WriteSparsity(string use, string folder)
    {
        if (!File.Exists(use) || JsonSerializer.Deserialize<TrainSaeRecipe.Use>(File.ReadAllText(use), JsonSerializerOptions.Web) is not { Vectors: > 0 } counts)
            return;
        using var scope = NewDisposeScope();
        Safetensors.Write(Path.Combine(folder, SparsityFile), [new("sparsity", tensor(counts.Firing.Select(count => (float)Math.Log10(count / (double)counts.Vectors + 1e-10)).ToArray()))], SafetensorsType.F32,
            new Dictionary<string, string> { ["format"] = "pt" });
    }
}
