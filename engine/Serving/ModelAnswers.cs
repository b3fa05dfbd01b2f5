using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Portal.Data;
using Portal.Data.JobSpecs;
using Portal.Data.Registry;
using Portal.Data.Serving;
using Portal.Data.Storage;
using Portal.Engine.Datasets;
using Portal.Engine.Endpoints;
using Portal.Engine.Evaluation;
using Portal.Engine.Generation;
using Portal.Engine.Jobs;
using Portal.Engine.Models;
using Portal.Engine.Tokenizers;
using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Engine.Serving;

/// <summary>Writes texts with a project's policies.</summary>
public sealed class PolicyWriter(LoadedModels models) : ITextGenerator
{
    /// <inheritdoc/>
    public Task<GenerationResult> Generate(GenerationRequest request, CancellationToken stop) =>
        models.Use(request.Model, ModelKind.Policy, model => Write(request, model.Policy!, model.Tokenizer, stop), stop); // a policy by its kind

    private static GenerationResult Write(GenerationRequest request, Llama model, ITokenizer tokenizer, CancellationToken stop)
    {
        var encoder = new DialogueEncoder(tokenizer, model.Config.ContextLength, Overlong.Filter);
        var isChat = request.Messages is not null;
        int[] prompt = request.Messages is { } messages ? encoder.Prompt(messages) : [.. tokenizer.BosId is { } bos ? [bos] : Array.Empty<int>(), .. tokenizer.Encode(request.Text ?? "")];
        var field = isChat ? "messages" : "prompt";
        if (prompt.Length == 0)
            throw new DoorRefusal(StatusCodes.Status400BadRequest, "The prompt is empty, and this model has no token to start from.", field);
        if (prompt.Length >= model.Config.ContextLength)
            throw new DoorRefusal(StatusCodes.Status400BadRequest, $"The prompt has {prompt.Length} tokens; fewer than {model.Config.ContextLength} fit this model.", field);

        IReadOnlyList<int> stopIds = isChat ? encoder.StopIds : tokenizer.EosId is { } eos ? [eos] : [];
        IReadOnlyList<(IReadOnlyList<int> Ids, bool Finished)> written = request.Sampling.TokensMax == 0
            ? [.. Enumerable.Repeat(((IReadOnlyList<int>)[], false), request.Count)]
            : [.. new Sampler(model).Generate([.. Enumerable.Repeat(prompt, request.Count)], PolicySamples.Options(request.Sampling, stopIds), stop)
                .Select(answer => (answer.Ids, answer.Finished))];
        return new GenerationResult(request.Model, prompt.Length, [.. written.Select(answer => TextOf(request, model, tokenizer, prompt, answer.Ids, answer.Finished))]);
    }

    private static GeneratedText TextOf(GenerationRequest request, Llama model, ITokenizer tokenizer, int[] prompt, IReadOnlyList<int> ids, bool finished)
    {
        var kept = finished ? [.. ids.Take(ids.Count - 1)] : ids.ToArray(); // the mark that ends an answer is not part of it
        var text = tokenizer.Decode(kept);
        var cut = request.StopAt.Select(at => text.IndexOf(at, StringComparison.Ordinal)).Where(at => at >= 0).DefaultIfEmpty(-1).Min();
        var echoed = request.Echo ? request.Text ?? "" : "";
        var whole = echoed + (cut >= 0 ? text[..cut] : text);
        var tokens = request.TopLogProbs is { } top ? Tokens(model, tokenizer, prompt, kept, top, request.Echo, whole.Length) : [];
        return new GeneratedText(whole, finished || cut >= 0, tokens, ids.Count);
    }

    /// <summary>Each token with its log-probability and the likeliest in its place, from one pass over prompt and answer.</summary>
    private static List<GeneratedToken> Tokens(Llama model, ITokenizer tokenizer, int[] prompt, int[] answer, int top, bool echo, int lengthMax)
    {
        using var scope = NewDisposeScope();
        int[] ids = [.. prompt, .. answer];
        var logProbs = model.Logits(model.Hidden(tensor(ids.Select(id => (long)id).ToArray(), device: model.Device).unsqueeze(0))).squeeze(0)
            .to_type(ScalarType.Float32).log_softmax(-1);
        var tokens = new List<GeneratedToken>();
        var stream = new TokenTextStream(tokenizer);
        if (echo && tokenizer.BosId is { } begin)
            stream.Push(begin); // places are counted from the text's beginning
        var offset = 0;
        for (var at = echo ? tokenizer.BosId is null ? 0 : 1 : prompt.Length; at < ids.Length && offset < Math.Max(1, lengthMax); at++)
        {
            var likeliest = new List<(string, byte[], double)>();
            double? own = null;
            if (at > 0)
            {
                using var inner = NewDisposeScope();
                var row = logProbs[at - 1];
                own = row[ids[at]].item<float>();
                if (top > 0)
                {
                    var (values, indexes) = row.topk(top, -1);
                    var (v, i) = (values.cpu().data<float>().ToArray(), indexes.cpu().data<long>().ToArray());
                    likeliest.AddRange(v.Zip(i, (value, id) => (TextOf(tokenizer, (int)id), tokenizer.BytesOf((int)id).ToArray(), (double)value)));
                }
            }
            tokens.Add(new GeneratedToken(TextOf(tokenizer, ids[at]), tokenizer.BytesOf(ids[at]).ToArray(), own, offset, likeliest));
            offset += stream.Push(ids[at]).Length;
        }
        return tokens;
    }

    private static string TextOf(ITokenizer tokenizer, int id) => Encoding.UTF8.GetString(tokenizer.BytesOf(id));
}

/// <summary>Scores responses with a project's reward models.</summary>
public sealed class RewardModelScorer(LoadedModels models) : IScorer
{
    /// <inheritdoc/>
    public Task<ScoreResponse> Score(ScoreRequest request, CancellationToken stop) => models.Use(request.Model ?? "", ModelKind.RewardModel, model =>
    {
        var items = request.Items ?? [];
        for (var i = 0; i < items.Count; i++)
            Scores.Check(items[i], i);
        var read = new RewardScorer(model.Reward!, model.Tokenizer).Read([.. items.Select(item => (item.Prompt, item.Response))], stop); // a reward model by its kind
        return new ScoreResponse(request.Model ?? "", [.. read.Select(item => new ScoredItem(item.Reward, item.LengthTokens, item.IsTruncated))]);
    }, stop);
}

/// <summary>Registers what stands behind the doors that need models.</summary>
public static class ModelServing
{
    public static void AddTo(IServiceCollection services)
    {
        services.AddSingleton(provider => new ModelStore(provider.GetRequiredService<IDbContextFactory<PortalDbContext>>(), provider.GetRequiredService<WriteQueue>(),
            provider.GetRequiredService<DataDirectory>(), provider.GetRequiredService<IdFactory>(), provider.GetRequiredService<TimeProvider>()));
        services.AddSingleton<LoadedModels>();
        services.AddSingleton<ITextGenerator, PolicyWriter>();
        services.AddSingleton<IScorer, RewardModelScorer>();
        services.AddSingleton<FeatureXrays>();
        services.AddSingleton(provider => new TogglePreviews(provider.GetRequiredService<IDbContextFactory<PortalDbContext>>(), provider.GetRequiredService<DataDirectory>(),
            provider.GetRequiredService<ModelStore>()));
        services.AddSingleton<FeatureRollUps>();
        services.AddSingleton<LabelScorer>();
        services.AddSingleton(provider => new RemovalPreviews(provider.GetRequiredService<IDbContextFactory<PortalDbContext>>(), provider.GetRequiredService<DataDirectory>(), provider.GetRequiredService<ModelStore>()));
        services.AddHostedService<ForgetErased>();
        services.AddSingleton(provider => new AuditTrials(provider.GetRequiredService<IDbContextFactory<PortalDbContext>>(), provider.GetRequiredService<DataDirectory>(), provider.GetRequiredService<ModelStore>()));
        services.AddSingleton(provider => new AuditPowers(provider.GetRequiredService<IDbContextFactory<PortalDbContext>>(), provider.GetRequiredService<ModelStore>()));
        services.TryAddSingleton(AddressGuard.FromEnvironment());
        services.TryAddSingleton(new EndpointNetwork());
        services.AddSingleton<EndpointPolicies>();
        services.AddSingleton<EndpointTrials>();
    }
}
