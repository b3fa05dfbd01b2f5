using System.CommandLine;
using System.Globalization;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Portal.Data;
using Portal.Data.Registry;
using Portal.Data.Storage;
using Portal.Engine.Jobs;

namespace Portal.Engine.CommandLine;

/// <summary><c>engine add-model</c>, <c>add-sae</c>, <c>export-sae</c>: folders into an installation, and out of it.</summary>
public static class ModelCommands
{
    public static Command AddModel()
    {
        var folder = new Argument<DirectoryInfo>("folder") { Description = "Hugging Face's layout: config.json, model.safetensors, tokenizer.json." };
        var project = new Option<string>("--project") { Description = "The name of the project it becomes a policy of.", Required = true };
        var synthetic = new Option<bool>("--synthetic") { Description = "It was trained on synthetic rows; pages then say so." };
        var data = EngineCommandLine.DataOption();
        var command = new Command("add-model", "Bring a language model into a project as a base policy; it serves at once where nothing does.") { folder, project, synthetic, data };
        command.SetAction(async (arguments, stop) =>
        {
            TrainingProcess.Prepare();
            var installation = EngineCommandLine.InstallationOf(arguments.GetRequiredValue(data));
            await using var services = new ServiceCollection().AddLogging().AddPortalData(installation).BuildServiceProvider();
            var add = new AddModel(services.GetRequiredService<IDbContextFactory<PortalDbContext>>(), services.GetRequiredService<WriteQueue>(), installation.Directory,
                services.GetRequiredService<IdFactory>(), TimeProvider.System);
            var version = await add.Run(arguments.GetRequiredValue(folder).FullName, arguments.GetRequiredValue(project), arguments.GetValue(synthetic), stop);
            Console.WriteLine($"{version.Label} is there{(version.Status is ModelStatus.Released ? " and serves" : ", a candidate")}.");
            return 0;
        });
        return command;
    }

    public static Command AddSae()
    {
        var folder = new Argument<DirectoryInfo>("folder") { Description = "SAELens' layout (cfg.json, sae_weights.safetensors) or sparsify's (cfg.json, sae.safetensors)." };
        var project = new Option<string>("--project") { Description = "The name of the project.", Required = true };
        var model = new Option<string>("--model") { Description = "The version it reads: its id, or what pages call it (\"policy v1\").", Required = true };
        var layer = new Option<int?>("--layer") { Description = "Blocks run before the states are read, for folders that do not say." };
        var data = EngineCommandLine.DataOption();
        var command = new Command("add-sae", "Bring a sparse autoencoder that was trained elsewhere into a project.") { folder, project, model, layer, data };
        command.SetAction(async (arguments, stop) =>
        {
            TrainingProcess.Prepare();
            var installation = EngineCommandLine.InstallationOf(arguments.GetRequiredValue(data));
            await using var services = new ServiceCollection().AddLogging().AddPortalData(installation).BuildServiceProvider();
            var add = new AddSae(services.GetRequiredService<IDbContextFactory<PortalDbContext>>(), services.GetRequiredService<WriteQueue>(), installation.Directory,
                services.GetRequiredService<IdFactory>(), TimeProvider.System);
            var (version, use) = await add.Run(arguments.GetRequiredValue(folder).FullName, arguments.GetRequiredValue(project), arguments.GetRequiredValue(model), arguments.GetValue(layer), stop);
            Console.WriteLine(use is null
                ? $"{version.Label} is there. The project has no response yet, so nothing was measured."
                : string.Create(CultureInfo.InvariantCulture, $"{version.Label} is there. It leaves over {use.All.Fvu:P1} of the variance of {use.All.Count} states of the project's responses; {use.DeadShare:P1} of its latents never fire there."));
            return 0;
        });
        return command;
    }

    public static Command ExportSae()
    {
        var version = new Argument<string>("version") { Description = "An SAE, or a reward model that reads one: its id, or what pages call it (\"SAE v1\")." };
        var project = new Option<string?>("--project") { Description = "The name of the project; needed where several have a version of that name." };
        var format = new Option<SaeLayout>("--format") { Description = "saelens or sparsify.", DefaultValueFactory = _ => SaeLayout.SaeLens };
        var output = new Option<DirectoryInfo>("--out") { Description = "A folder that is not there yet, or empty.", Required = true };
        var data = EngineCommandLine.DataOption();
        var command = new Command("export-sae", "Write a sparse autoencoder in a layout that other programs read; of a reward model with its head beside it.") { version, project, format, output, data };
        command.SetAction(async (arguments, stop) =>
        {
            TrainingProcess.Prepare();
            var installation = EngineCommandLine.InstallationOf(arguments.GetRequiredValue(data));
            await using var services = new ServiceCollection().AddLogging().AddPortalData(installation).BuildServiceProvider();
            var contexts = services.GetRequiredService<IDbContextFactory<PortalDbContext>>();
            var found = await new NamedVersions(contexts).Find(arguments.GetRequiredValue(version), arguments.GetValue(project), stop);
            var store = new ModelStore(contexts, services.GetRequiredService<WriteQueue>(), installation.Directory, services.GetRequiredService<IdFactory>(), TimeProvider.System);
            new ExportSae(store).Run(found, arguments.GetValue(format), arguments.GetRequiredValue(output).FullName);
            Console.WriteLine($"{found.Label} is in {arguments.GetRequiredValue(output).FullName}.");
            return 0;
        });
        return command;
    }
}
