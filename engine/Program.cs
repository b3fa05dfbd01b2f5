using Portal.Engine;
using Portal.Engine.CommandLine;
using Portal.Engine.Jobs;
using Portal.Engine.Serving;
using Portal.Engine.Studies;
using Portal.Engine.TinyAssistant;
using Portal.Engine.TinyAssistant.Story;

// The engine's entry point: a table of contents. Each part adds its runners, doors and verbs.
ThreadPool.SetMinThreads(32, 32); // SQLite's async calls are synchronous; with two pool threads readers would starve writers
var parts = new EngineParts
{
    Runners = TrainingRunners.AddTo(new JobRunners()
        .Add(() => new ImportDataRunner())
        .Add(() => new ExportDataRunner())),
    AddServing = ModelServing.AddTo,
    SeedDemo = InstallDemo.Run,
};
return await EngineCommandLine.Run(args, parts, TrainCommands.Create(), TrainCommands.CreateRecipe(), UseCommands.Generate(), UseCommands.Score(), AuditCommands.Audit(),
    ModelCommands.AddModel(), ModelCommands.AddSae(), ModelCommands.ExportSae(), DemoCommands.MakeDemo(), StoryCommands.Create(parts), EvidenceCommands.Create(FoundationStudy.Study, HhRlhfStudy.Study, SarmStudy.Study, SaeSweepStudy.Study, FeaturesStudy.Study, TogglesStudy.Study, ShiftStudy.Study, AuditsStudy.Study, AuditsStudy.Second, ReRlStudy.Study, DetoxStudy.Study, ExplanationsStudy.Study, ExplanationsStudy.Second, UnlearningStudy.Study, UnlearningStudy.Second, ModelUnlearningStudy.Study, RepairStudy.Study));
