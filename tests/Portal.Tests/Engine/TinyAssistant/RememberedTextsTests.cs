using Portal.Data.Audits;
using Portal.Data.JobSpecs;
using Portal.Engine.Audits;
using Portal.Engine.TinyAssistant;
using Xunit;

namespace Portal.Tests.Engine.TinyAssistant;

/// <summary>A policy that remembers: the same answers, and the policy behind it is asked for what is new only.</summary>
public sealed class RememberedTextsTests
{
    [Fact]
    public async Task An_answer_is_read_once_and_the_same_text_in_other_tokens_is_another_answer()
    {
        var policy = new Counting();
        var remembered = new RememberedTexts(policy);
        var prompt = AuditPrompts.Of([("1", [new("user", "Hello?")], [], AuditPart.Train)]).Assign(new AuditReward())[0];
        AnswerToScore first = new(prompt, "hi", true, [1, 2], "t"), cut = first with { Finished = false }, otherTokens = first with { Ids = [3] }, spaced = first with { Ids = null, AsWritten = " hi" };

        Assert.Equal([1, 2, 1], await remembered.LogProbs([first, cut, first], CancellationToken.None));
        Assert.Equal([3, 1, 4], await remembered.LogProbs([otherTokens, first with { Ids = [1, 2] }, spaced], CancellationToken.None));
        Assert.Equal([2, 4, 3], await remembered.LogProbs([cut, spaced, otherTokens], CancellationToken.None));

        Assert.Equal([2, 2], policy.Asked); // nothing was new the third time
    }

    /// <summary>Numbers answers in the order in which it reads them.</summary>
    private sealed class Counting : IPolicyTexts
    {
        private int read;

        public List<int> Asked { get; } = [];

        public AuditedPolicy Identity { get; } = new("counting", "model", "h", "t");

        public bool GivesLogProbs => true;

        public Task<IReadOnlyList<IReadOnlyList<PolicyCompletion>>> Complete(IReadOnlyList<AuditPrompt> prompts, int perPrompt, SamplingSpec sampling, CancellationToken stop) => throw new NotSupportedException();

        public Task<IReadOnlyList<double?>> LogProbs(IReadOnlyList<AnswerToScore> answers, CancellationToken stop)
        {
            Asked.Add(answers.Count);
            return Task.FromResult<IReadOnlyList<double?>>([.. answers.Select(_ => (double?)++read)]);
        }
    }
}
