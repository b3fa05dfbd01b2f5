using System.CommandLine;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Portal.Data;
using Portal.Data.Registry;
using Portal.Data.Storage;
using Portal.Engine.Jobs;

namespace Portal.Engine.CommandLine;

/// <summary><c>engine add-model</c>: brings a model folder into an installation.</summary>
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
}
