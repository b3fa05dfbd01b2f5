using Portal.Data.JobSpecs;
using Portal.Engine.CommandLine;
using Portal.Engine.Datasets;
using Portal.Engine.Models;
using Portal.Engine.Recipes;
using Portal.Engine.Sae;

namespace Portal.Engine.TinyAssistant;

/// <summary>
/// Makes the readable reward model that the demo ships: a sparse autoencoder of the shipped reward model, and a head on its features, by the presets that
/// everybody can run, on the shipped rows.
/// </summary>
internal static class DemoFeatures
{
    private const string SaePreset = "sae-after-reward.json";
    private const string HeadPreset = "sarm-head.json";

    /// <param name="assets">Holds the reward model and the rows; both results are written beside them.</param>
    public static void Run(string assets, ulong seed, RecipeContext context)
    {
        var saeSpec = DemoTraining.Preset<TrainSae>(SaePreset, "sae") with { Seed = (long)seed };
        var headSpec = DemoTraining.Preset<TrainSarm>(HeadPreset, "sarm") with { Seed = (long)seed };
        var rows = DatasetFile.Read(Path.Combine(assets, MakeDemo.ProjectFile), context.Stop);
        var pairs = rows.Pairs(headSpec.Rules.HeldOutShare, headSpec.Rules.SplitSeed, new Dictionary<string, int>());
        var (reward, tokenizer) = ModelFolder.RewardModel(Path.Combine(assets, DemoModels.RewardFolder));
        using var ofReward = reward;
        var whole = SplicedModel.Of(reward, pairs.HeldOut);
        var scratch = context.CheckpointFolder;

        var (sae, saeReport) = TrainSaeRecipe.Run(saeSpec, whole.Backbone, tokenizer, rows.Responses(saeSpec.Rules.HeldOutShare, saeSpec.Rules.SplitSeed), Path.Combine(scratch, "states"),
            context.At(Path.Combine(scratch, "sae-files"), Path.Combine(scratch, "sae")), whole);
        var saeFolder = Path.Combine(assets, DemoModels.SaeFolder);
        ArtefactFile.CopyFolder(Path.Combine(scratch, "sae-files"), saeFolder, wanted: null, context.Stop);
        saeReport.Write(saeFolder);

        var (sarm, sarmReport) = TrainSarmRecipe.Run(headSpec, whole.Backbone, sae, tokenizer, pairs, context.At(Path.Combine(scratch, "sarm-files"), Path.Combine(scratch, "sarm")));
        using var ofSarm = sarm;
        var sarmFolder = Path.Combine(assets, DemoModels.SarmFolder);
        SarmFolder.Save(sarm, sarmFolder, tokenizer, SafetensorsType.F16); // the body is the shipped one, whose numbers are halves already
        sarmReport.Write(sarmFolder);
    }
}
