using Portal.Engine.Sae;
using Portal.Engine.Tokenizers;

namespace Portal.Engine.Recipes;

/// <summary>Training of reward models that read sparse features: the reward model's own recipe on another model, with the SAE frozen.</summary>
public static class TrainSarmRecipe
{
    /// <summary>What <see cref="TrainRewardModelRecipe"/> trains: embedding, blocks and head (mode 1 of specs/sarm.md §1.5, the paper's).</summary>
    public static TrainRewardModelRecipe.TrainedReward Trained(SarmReward model, ITokenizer tokenizer)
    {
        // The final norm is not applied, so nothing pulls at it.
        var body = model.Backbone.named_parameters().Where(weight => !weight.name.StartsWith("norm.", StringComparison.Ordinal)).Select(weight => weight.parameter);
        return new(model, model, [.. body], [model.HeadWeight], folder => SarmFolder.Save(model, folder, tokenizer));
    }
}
