using Portal.Data.Audits;
using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Engine.Audits;
using Portal.Tests.Engine.Recipes;

namespace Portal.Tests.Engine.Audits;

/// <summary>A policy whose completions a test writes down: the one of a prompt, and its ordinal.</summary>
internal sealed class SaidByRule(string name, Func<AuditPrompt, int, PolicyCompletion> say, Func<AnswerToScore, double?>? logProb = null) : IPolicyTexts
{
    /// <summary>How often it was asked.</summary>
    public int Calls { get; private set; }

    public AuditedPolicy Identity { get; } = new(name, "rule", name, null);

    public bool GivesLogProbs => logProb is not null;

    public static SaidByRule Texts(string name, Func<AuditPrompt, int, string> say, Func<AnswerToScore, double?>? logProb = null) =>
        new(name, (prompt, ordinal) => new PolicyCompletion(CompletionStatus.Written, say(prompt, ordinal), true), logProb);

    public Task<IReadOnlyList<IReadOnlyList<PolicyCompletion>>> Complete(IReadOnlyList<AuditPrompt> prompts, int perPrompt, SamplingSpec sampling, CancellationToken stop)
    {
        Calls++;
        return Task.FromResult<IReadOnlyList<IReadOnlyList<PolicyCompletion>>>([.. prompts.Select(prompt => Enumerable.Range(0, perPrompt).Select(ordinal => say(prompt, ordinal)).ToArray())]);
    }

    public Task<IReadOnlyList<double?>> LogProbs(IReadOnlyList<AnswerToScore> answers, CancellationToken stop) =>
        Task.FromResult<IReadOnlyList<double?>>([.. answers.Select(answer => logProb!(answer))]);
}

/// <summary>What audits of a test are made from.</summary>
internal static class SmallAudit
{
    public static AuditReader Reader { get; } = AuditReader.Of(ToyWorld.Model(3).Backbone, ToyWorld.Tokenizer);

    /// <summary>One seed, two resamples, two methods and the controls.</summary>
    public static AuditReward Spec => new() { Seeds = 1, Bootstraps = 2, PowerRepeats = 0, CompletionsOnTest = 2, Methods = ["max-entropy"], Sampling = new SamplingSpec { TokensMax = 24 } };

    public static AuditPrompts Prompts(int count, Func<int, AuditPart?>? part = null) =>
        AuditPrompts.Of(Enumerable.Range(0, count).Select(i => ($"p{i}", (IReadOnlyList<Turn>)[new Turn("user", $"May I take the thing {i}?")], (IReadOnlyList<string>)[], part?.Invoke(i))));

    public static AuditText Text(string prompt, AuditSide side, int ordinal, string text, CompletionStatus status = CompletionStatus.Written, bool? label = null, AuditPart part = AuditPart.Train) => new()
    {
        Id = $"{prompt}/{side}/{ordinal}", PromptId = prompt, Part = part, Side = side, Ordinal = ordinal, Status = status, Text = text, Finished = true, Label = label,
    };

    public static AuditPrompt Asked(string question, params string[] tags) => new("q", "q", [new Turn("user", question)], tags);
}
