using System.Text.Json;
using Portal.Data.Audits;
using Portal.Data.JobSpecs;
using Portal.Engine.Recipes;
using Portal.Engine.Statistics;

namespace Portal.Engine.Audits;

/// <summary>
/// Collects an audit's texts: both policies answer every prompt, and say how likely they find each other's answers where they can. A training prompt gets one completion of each policy, with
/// <see cref="AuditReward.Repeats"/> more for the screen by repeated sampling; a hold-out prompt one; a test prompt <see cref="AuditReward.CompletionsOnTest"/>.
/// </summary>
/// <remarks>
/// Prompts are asked in chunks, each of which is one file of the checkpoint folder: a run after a crash finds what is done and goes on. A chunk of other prompts, policies, settings or seed is not used.
/// The two policies draw from different random numbers: with the same ones their completions would be alike beyond what the policies are, and pairs would not be what methods take them for.
/// </remarks>
public sealed class TextCollection(IPolicyTexts audited, IPolicyTexts @base, AuditReward spec, RecipeContext context)
{
    /// <summary>A chunk is what a crash can cost, and a batch that a model writes at once.</summary>
    private const int CompletionsAtOnce = 128;

    private sealed record Chunk(string Fingerprint, IReadOnlyList<AuditText> Texts);

    /// <summary>Hash of all that decides the texts.</summary>
    public string Fingerprint(IReadOnlyList<AuditPrompt> prompts) => Checkpoint.Fingerprint(
    [
        "audit texts 2", JsonSerializer.Serialize(audited.Identity), JsonSerializer.Serialize(@base.Identity), JsonSerializer.Serialize(spec.Sampling), $"{spec.Seed} {spec.CompletionsOnTest} {spec.Repeats}",
        .. prompts.Select(prompt => JsonSerializer.Serialize(prompt)),
    ]);

    /// <summary>Collects, or goes on where an earlier run ended.</summary>
    /// <param name="prompts">Each with its part.</param>
    /// <returns>Everything that was asked for, prompt by prompt of each chunk: audited completions, then the base's.</returns>
    public async Task<IReadOnlyList<AuditText>> Collect(IReadOnlyList<AuditPrompt> prompts)
    {
        var fingerprint = Fingerprint(prompts);
        var texts = new List<AuditText>();
        // Train, hold-out, test: prompts of a chunk get the same number of completions.
        var chunks = prompts.GroupBy(prompt => prompt.Part).OrderBy(group => group.Key).SelectMany(group => group.Chunk(Math.Max(1, CompletionsAtOnce / Completions(group.Key!.Value)))).ToArray(); // each has a part
        var (done, resumed) = (0, 0);
        foreach (var (number, chunk) in chunks.Index())
        {
            context.ThrowIfStopped();
            var path = Path.Combine(context.CheckpointFolder, $"texts-{number:D5}.json");
            if (Stored(path, fingerprint) is { } stored)
            {
                texts.AddRange(stored);
                resumed++;
            }
            else
            {
                var fresh = await Ask(chunk, number);
                ArtefactFile.Write(path, file => JsonSerializer.Serialize(file, new Chunk(fingerprint, fresh), AuditLines.Json));
                texts.AddRange(fresh);
            }
            context.Report(done += chunk.Length, prompts.Count, "writing completions");
        }
        if (resumed > 0)
            context.Log($"{resumed} of {chunks.Length} chunks of completions were there from an earlier run.");
        return texts;
    }

    private static IReadOnlyList<AuditText>? Stored(string path, string fingerprint)
    {
        if (!File.Exists(path))
            return null;
        try
        {
            return JsonSerializer.Deserialize<Chunk>(File.ReadAllBytes(path), AuditLines.Json) is { } chunk && chunk.Fingerprint == fingerprint ? chunk.Texts : null;
        }
        catch (JsonException)
        {
            return null; // of another version, or damaged: written anew
        }
    }

    private int Completions(AuditPart part) => part switch { AuditPart.Train => 1 + spec.Repeats, AuditPart.Holdout => 1, AuditPart.Test => spec.CompletionsOnTest };

    private async Task<IReadOnlyList<AuditText>> Ask(AuditPrompt[] prompts, int number)
    {
        var part = prompts[0].Part!.Value; // Collect's prompts have one
        var k = Completions(part);
        var (first, second) = (await Complete(audited, AuditSide.Audited, prompts, k, number), await Complete(@base, AuditSide.Base, prompts, k, number));
        var written = prompts.SelectMany((prompt, i) => first[i].Select((completion, at) => (prompt, completion, Side: AuditSide.Audited, At: at))
            .Concat(second[i].Select((completion, at) => (prompt, completion, Side: AuditSide.Base, At: at)))).ToArray();
        var usable = written.Where(entry => entry.completion.Status is CompletionStatus.Written).ToArray();
        AnswerToScore[] answers = [.. usable.Select(entry => new AnswerToScore(entry.prompt, entry.completion.Text, entry.completion.Finished, entry.completion.Ids,
            (entry.Side is AuditSide.Audited ? audited : @base).Identity.TokenizerHash, entry.completion.AsWritten))];
        var (byAudited, byBase) = (await LogProbs(audited, answers), await LogProbs(@base, answers));
        var at = 0;
        return [.. written.Select(entry =>
        {
            var isWritten = entry.completion.Status is CompletionStatus.Written;
            var row = isWritten ? at++ : -1;
            return new AuditText
            {
                Id = IdOf(entry.prompt.Id, entry.Side, entry.At), PromptId = entry.prompt.Id, Part = part, Side = entry.Side, Ordinal = entry.At, Status = entry.completion.Status, Text = entry.completion.Text,
                Finished = entry.completion.Finished, LogProbAudited = isWritten ? byAudited[row] : null, LogProbBase = isWritten ? byBase[row] : null, Label = entry.completion.Label, Problem = entry.completion.Problem,
            };
        })];
    }

    /// <summary>The id of a completion.</summary>
    internal static string IdOf(string prompt, AuditSide side, int ordinal) => $"{prompt}/{(side is AuditSide.Audited ? "audited" : "base")}/{ordinal}";

    private async Task<IReadOnlyList<IReadOnlyList<PolicyCompletion>>> Complete(IPolicyTexts policy, AuditSide side, AuditPrompt[] prompts, int k, int number)
    {
        var seed = (long)(new SeededRandom((ulong)spec.Seed).Split($"completions {spec.Sampling.Seed} {side}").Split(number).NextBits() >> 1);
        var completions = await policy.Complete(prompts, k, spec.Sampling with { Seed = seed }, context.Stop);
        return completions.Count == prompts.Length && completions.All(own => own.Count == k) ? completions
            : throw new InvalidOperationException($"{policy.Identity.Name} was asked for {prompts.Length} times {k} completions and gave {string.Join(", ", completions.Select(own => own.Count))}.");
    }

    private async Task<IReadOnlyList<double?>> LogProbs(IPolicyTexts policy, AnswerToScore[] answers) =>
        policy.GivesLogProbs && answers.Length > 0 ? await policy.LogProbs(answers, context.Stop) : new double?[answers.Length];
}
