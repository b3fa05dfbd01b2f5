using Portal.Data.JobSpecs;
using Portal.Engine.Datasets;
using Portal.Engine.Evaluation;

namespace Portal.Engine.Jobs;

/// <summary>What the base policy answers to prompts: what a response is compared with, as only differences of rewards mean something.</summary>
internal static class ReferenceAnswers
{
    /// <returns>The answers by the prompt's key; a prompt that leaves the policy no room for an answer has none.</returns>
    public static async Task<IReadOnlyDictionary<string, IReadOnlyList<string>>> Ask(JobRun run, ModelStore store, IReadOnlyList<StoredPrompt> asked, int each, SamplingSpec sampling)
    {
        var (policy, tokenizer) = store.OpenPolicy(await store.BasePolicy(run.ProjectId, run.Stop));
        using (policy)
        {
            policy.eval();
            var encoder = new DialogueEncoder(tokenizer, policy.Config.ContextLength, Overlong.Filter);
            var prompts = asked.DistinctBy(prompt => prompt.Key).Select(prompt => new AskedPrompt(prompt.Key, prompt.Turns)).ToList();
            var answered = prompts.Where(prompt => PolicySamples.Fits(policy, encoder, prompt.Turns)).ToList();
            var texts = PolicySamples.Texts(policy, tokenizer, answered, Math.Max(1, each), sampling, run.Stop, done => run.Progress.Report(done, answered.Count, "asking the base policy", null));
            return answered.Zip(texts).ToDictionary(entry => entry.First.Key, entry => entry.Second);
        }
    }
}
