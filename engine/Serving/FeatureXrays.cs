using Microsoft.AspNetCore.Http;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Serving;
using Portal.Engine.Datasets;
using Portal.Engine.Models;
using Portal.Engine.Sae;
using Portal.Engine.Tokenizers;
using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.Serving;

/// <summary>The door that takes rewards apart, over <see cref="FeatureXrays"/>.</summary>
internal static class Xrays
{
    public static async Task Handle(HttpContext http)
    {
        var request = await EngineHttp.Read<FeatureXrayRequest>(http, http.RequestAborted);
        if (string.IsNullOrWhiteSpace(request.Model))
            throw Bad("model", $"Name a reward model on sparse features; GET {ModelList.Route} lists reward models.");
        if (request.Items is not { Count: > 0 and <= FeatureXrayRequest.ItemsMax })
            throw Bad("items", $"Give 1 to {FeatureXrayRequest.ItemsMax} items.");
        if (request.HeatLatents is { Count: > FeatureXrayRequest.HeatMax } or { Count: 0 })
            throw Bad("heat_latents", $"Give 1 to {FeatureXrayRequest.HeatMax} features, or leave heat_latents out.");
        var xrays = EngineHttp.Part<FeatureXrays>(http, "takes rewards apart");
        await EngineHttp.Answer(http, await xrays.Take(request, http.RequestAborted));
    }

    internal static DoorRefusal Bad(string field, string message) => new(StatusCodes.Status400BadRequest, message, field);
}

/// <summary>Takes the rewards of a SARM model apart: which features are active where a response ends, what each adds, and where in the response it is active.</summary>
/// <remarks>
/// The texts go through the model in one batch, as <see cref="Evaluation.RewardScorer"/> sends them, so that the contributions are of the very reward that
/// /v1/score gives. Heat inside a response uses the centre of sentence ends, at its last token that of response ends: what a latent means at a
/// token in the middle, where no SAE was trained, is a hint and no more.
/// </remarks>
public sealed class FeatureXrays(LoadedModels models)
{
    /// <exception cref="DoorRefusal">No such model, one that reads no features, an item that cannot be read, or a feature that is not there; the message names the field.</exception>
    public Task<FeatureXrayResponse> Take(FeatureXrayRequest request, CancellationToken stop) => models.Use(request.Model ?? "", ModelKind.RewardModel, opened =>
    {
        if (opened.Reward is not SarmReward model)
            throw Xrays.Bad("model", $"{opened.Version.Label} reads no sparse features, so its reward has no parts to show; name a reward model that was trained on an SAE (SARM).");
        var items = request.Items ?? [];
        for (var i = 0; i < items.Count; i++)
            Scores.Check(items[i], i);
        var latents = model.Sae.Config.Latents;
        if (request.HeatLatents is { } wanted && wanted.Any(latent => latent < 0 || latent >= latents))
            throw Xrays.Bad("heat_latents", $"Feature {wanted.First(latent => latent < 0 || latent >= latents)} is not there; this model has {latents}, numbered from 0.");
        stop.ThrowIfCancellationRequested();
        return new FeatureXrayResponse(request.Model ?? "", latents, Read(model, opened.Tokenizer, items, request.HeatLatents));
    }, stop);

    /// <param name="Whole">With its beginning, where it is too long.</param>
    private sealed record Text(EncodedText Whole, EncodedText Seen)
    {
        public int Cut => Whole.Ids.Length - Seen.Ids.Length;
    }

    private static IReadOnlyList<FeatureXray> Read(SarmReward model, ITokenizer tokenizer, IReadOnlyList<ScoreItem> items, IReadOnlyList<int>? wanted)
    {
        var (whole, cut) = (new DialogueEncoder(tokenizer, int.MaxValue, Overlong.TruncateLeft), new DialogueEncoder(tokenizer, model.ContextLength, Overlong.TruncateLeft));
        var texts = items.Select(item => new Text(whole.Answer(item.Prompt, item.Response)!, cut.Answer(item.Prompt, item.Response)!)).ToList(); // cut, never filtered
        using var scope = NewDisposeScope();
        // The scorer's order: batches of other shapes differ in their last bits, and a tie at the k-th place could fall the other way.
        var order = BatchOrder.ByLength([.. texts.Select(text => text.Seen.Ids.Length)], items.Count).Single();
        using var batch = PaddedBatch.Of([.. order.Select(i => texts[i].Seen)], tokenizer.PadId, model.Device);
        var hidden = model.Backbone.Hidden(batch.Ids, new LlamaRun { FinalNorm = false });
        var ends = model.Sae.Encode(LlamaReward.AtLast(hidden, batch.LastPositions), SaePosition.ResponseEnd);
        var contributions = model.Contributions(ends);
        var rewards = contributions.sum(-1).ToFloats();
        var (width, indices, values, parts) = ((int)ends.Values.shape[1], ToLongs(ends.Indices), ends.Values.ToFloats(), contributions.ToFloats());
        var weights = model.HeadWeight.detach().view(-1).ToFloats();
        var answers = new FeatureXray[items.Count];
        for (var row = 0; row < order.Length; row++)
        {
            var active = Enumerable.Range(row * width, width).Where(at => values[at] != 0)
                .Select(at => new ActiveFeature((int)indices[at], values[at], weights[indices[at]], parts[at]))
                .OrderByDescending(feature => Math.Abs(feature.Contribution)).ThenBy(feature => feature.Latent).ToList();
            var shown = wanted?.Distinct().ToList() ?? [.. active.Where(feature => feature.Activation > 0).Take(FeatureXrayRequest.HeatMax).Select(feature => feature.Latent)];
            answers[order[row]] = Of(model.Sae, tokenizer, texts[order[row]], hidden[row], rewards[row], active, shown);
        }
        return answers;
    }

    /// <param name="hidden">Of the tokens the model saw. [T, d].</param>
    private static FeatureXray Of(TopKSae sae, ITokenizer tokenizer, Text text, Tensor hidden, float reward, IReadOnlyList<ActiveFeature> active, IReadOnlyList<int> shown)
    {
        using var scope = NewDisposeScope();
        // The response's own tokens: the mark that ends it is where the reward is read, and no part of the text.
        var places = Enumerable.Range(0, text.Whole.Ids.Length).Where(at => text.Whole.Mask[at] && !tokenizer.SpecialTokens.Values.Contains(text.Whole.Ids[at])).ToList();
        var seen = places.Where(at => at >= text.Cut).ToList();
        var heat = shown.Select(latent => new double[places.Count]).ToList();
        if (seen.Count > 0 && shown.Count > 0)
        {
            var codes = sae.Encode(hidden.index_select(0, tensor(seen.Select(at => (long)(at - text.Cut)).ToArray(), device: hidden.device)), SaePosition.SentenceEnd);
            var (width, indices, values) = ((int)codes.Values.shape[1], ToLongs(codes.Indices), codes.Values.ToFloats());
            for (var entry = 0; entry < values.Length; entry++)
                if (values[entry] > 0 && Index(shown, (int)indices[entry]) is >= 0 and var latent)
                    heat[latent][places.Count - seen.Count + entry / width] = values[entry];
            // Where no mark ends a response, its last token is where the reward is read.
            if (places[^1] == text.Whole.Ids.Length - 1)
                for (var latent = 0; latent < shown.Count; latent++)
                    heat[latent][^1] = Math.Max(0, active.FirstOrDefault(feature => feature.Latent == shown[latent])?.Activation ?? 0);
        }
        var stream = new TokenTextStream(tokenizer);
        var words = places.Select(at => stream.Push(text.Whole.Ids[at])).ToList();
        if (words.Count > 0)
            words[^1] += stream.Finish();
        return new FeatureXray(reward, active, words, [.. shown.Zip(heat, (latent, activations) => new TokenHeat(latent, activations))], text.Cut > 0);
    }

    private static int Index(IReadOnlyList<int> shown, int latent)
    {
        for (var i = 0; i < shown.Count; i++)
            if (shown[i] == latent)
                return i;
        return -1;
    }

    private static long[] ToLongs(Tensor indices)
    {
        using var numbers = indices.cpu().contiguous().data<long>();
        return numbers.ToArray();
    }
}
