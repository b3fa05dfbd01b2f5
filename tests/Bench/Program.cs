using System.CommandLine;
using System.Text.Json;
using Portal.Bench;

// The benches' entry point; `./bench` builds what they need and starts it. Exit codes: 0 every asked target is reached, 1 not, 2 wrong usage.
ThreadPool.SetMinThreads(64, 64);

var quick = new Option<bool>("--quick") { Description = "A small model, short runs: shows that the bench works, proves nothing." };
var json = new Option<FileInfo?>("--json") { Description = "Write the rows to this file as well." };

var threads = new Option<int>("--threads") { Description = "Threads of an operator, on both sides.", DefaultValueFactory = _ => 2 };
var peer = new Option<FileInfo>("--peer") { Description = "The peer's script.", Required = true };
var work = new Option<DirectoryInfo>("--work") { Description = "A folder for the bench's own files; removed afterwards.", Required = true };
var only = new Option<string[]>("--case") { Description = "Only these cases.", AllowMultipleArgumentsPerToken = true, DefaultValueFactory = _ => [] };
var engine = new Command("engine", "Training, log-probs and generation against plain PyTorch.") { quick, json, threads, peer, work, only };
engine.SetAction(async (parsed, stop) =>
{
    var options = new EngineBenchOptions(parsed.GetRequiredValue(peer), parsed.GetRequiredValue(work), parsed.GetValue(quick), parsed.GetValue(threads), parsed.GetRequiredValue(only));
    var (rows, setting) = await new EngineBench(options).Run(Console.Error.WriteLine, stop);
    return await Print(rows, "PyTorch", setting, parsed.GetValue(json), stop);
});

var features = new Command("features", "Training of sparse autoencoders against dense and gather-based PyTorch; descriptions, previews of toggles and searches of features.") { quick, json, threads, peer, work, only };
features.SetAction(async (parsed, stop) =>
{
    var options = new FeaturesBenchOptions(parsed.GetRequiredValue(peer), parsed.GetRequiredValue(work), parsed.GetValue(quick), parsed.GetValue(threads), parsed.GetRequiredValue(only));
    var (rows, setting) = await new FeaturesBench(options).Run(Console.Error.WriteLine, stop);
    return await Print(rows, "PyTorch", setting, parsed.GetValue(json), stop);
});

var assets = new Option<DirectoryInfo>("--demo") { Description = "The demo's folder, with its base and policy.", Required = true };
var torchPeer = new Option<FileInfo>("--torch-peer") { Description = "The peer's script for log-probs.", Required = true };
var audits = new Command("audits", "Fits of a reward audit, bootstrap of d_STARC and log-probs against numpy, scipy and plain PyTorch; a whole audit.") { quick, json, threads, peer, torchPeer, assets, work, only };
audits.SetAction(async (parsed, stop) =>
{
    var options = new AuditsBenchOptions(parsed.GetRequiredValue(peer), parsed.GetRequiredValue(torchPeer), parsed.GetRequiredValue(assets), parsed.GetRequiredValue(work), parsed.GetValue(quick), parsed.GetValue(threads),
        parsed.GetRequiredValue(only));
    var (rows, setting) = await new AuditsBench(options).Run(Console.Error.WriteLine, stop);
    return await Print(rows, "peer", setting, parsed.GetValue(json), stop);
});

var explain = new Command("explain", "Explanations against scipy's non-negative least squares and numpy's neighbours; Newton removal against training again.") { quick, json, threads, peer, work, only };
explain.SetAction(async (parsed, stop) =>
{
    var options = new ExplainBenchOptions(parsed.GetRequiredValue(peer), parsed.GetRequiredValue(work), parsed.GetValue(quick), parsed.GetValue(threads), parsed.GetRequiredValue(only));
    var (rows, setting) = await new ExplainBench(options).Run(Console.Error.WriteLine, stop);
    return await Print(rows, "numpy, scipy", setting, parsed.GetValue(json), stop);
});

var published = new Option<DirectoryInfo>("--published") { Description = "The folder with the published portal and engine.", Required = true };
var portal = new Command("portal", "Judgements through the portal's HTTP path: idle, during an import, during training.") { quick, json, published, work };
portal.SetAction(async (parsed, stop) =>
{
    var options = new PortalBenchOptions(parsed.GetRequiredValue(published), parsed.GetRequiredValue(work), parsed.GetValue(quick));
    var (rows, setting) = await new PortalBench(options).Run(Console.Error.WriteLine, stop);
    return await Print(rows, "idle", setting, parsed.GetValue(json), stop);
});

var kind = new Argument<string>("kind");
var weights = new Option<string>("--weights") { Required = true };
var (batch, length, prompt, fresh) = (new Option<int>("--batch"), new Option<int>("--length"), new Option<int>("--prompt"), new Option<int>("--new"));
var turns = new Command("turns", "Our side of one case; the engine's bench starts this itself.") { kind, weights, batch, length, prompt, fresh, threads, quick };
turns.Hidden = true;
turns.SetAction(parsed => EngineTurns.Run(
    new EngineCase("", parsed.GetRequiredValue(kind), parsed.GetValue(batch), parsed.GetValue(length), parsed.GetValue(prompt), parsed.GetValue(fresh)),
    parsed.GetRequiredValue(weights), parsed.GetValue(threads), parsed.GetValue(quick)));

var root = new RootCommand("Portal's benches.") { engine, features, audits, explain, portal, turns };
var command = root.Parse(args);
if (command.Errors.Count > 0)
{
    await command.InvokeAsync();
    return 2;
}
return await command.InvokeAsync();

static async Task<int> Print(IReadOnlyList<BenchRow> rows, string peer, string setting, FileInfo? json, CancellationToken stop)
{
    Console.WriteLine(setting);
    Console.WriteLine();
    Console.WriteLine(BenchReport.Markdown(rows, peer));
    if (json is not null)
        await File.WriteAllTextAsync(json.FullName, BenchReport.Json(rows).ToJsonString(new JsonSerializerOptions { WriteIndented = true }) + "\n", stop);
    return rows.All(row => row.Verdict is null or Verdict.Ok) ? 0 : 1;
}
