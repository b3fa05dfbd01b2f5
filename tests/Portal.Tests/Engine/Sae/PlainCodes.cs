using Portal.Data.Feedback;
using Portal.Data.JobSpecs;
using Portal.Engine.Datasets;
using Portal.Engine.Models;
using Portal.Engine.Sae;
using Portal.Tests.Engine.Recipes;
using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Tests.Engine.Sae;

/// <summary>Codes by plain loops in double precision over one text at a time: no batch, no padding, and none of the SAE's code. What the definition in <see cref="TopKSae"/> says, and no more.</summary>
internal static class PlainCodes
{
    /// <summary>z of the latents that are not 0 at every token of one text of the toy world, and which tokens the assistant said. The last token is read as a response's end.</summary>
    public static (List<Dictionary<int, double>> Codes, bool[] Mask) Of(SarmReward sarm, IReadOnlyList<Turn> prompt, string response)
    {
        var (config, selected) = (sarm.Sae.Config, new List<Dictionary<int, double>>());
        var (values, mask) = PreActivations(sarm, prompt, response);
        foreach (var p in values)
        {
            var chosen = p.Index();
            chosen = config.Selection is SaeSelection.TopK ? chosen.OrderByDescending(entry => entry.Item).Take(config.K) : chosen.Where(entry => entry.Item > config.Threshold!); // trained to its end
            selected.Add(chosen.Where(entry => config.UseRelu ? entry.Item > 0 : entry.Item != 0).ToDictionary(entry => entry.Index, entry => entry.Item));
        }
        return (selected, mask);
    }

    /// <summary>p of all latents at every token.</summary>
    public static (IReadOnlyList<double[]> Values, bool[] Mask) PreActivations(SarmReward sarm, IReadOnlyList<Turn> prompt, string response)
    {
        using var scope = NewDisposeScope();
        using var noGrad = no_grad();
        var (sae, config) = (sarm.Sae, sarm.Sae.Config);
        var (d, m) = (config.Width, config.Latents);
        var text = new DialogueEncoder(ToyWorld.Tokenizer, 64, Overlong.Filter).Answer(prompt, response)!; // short
        var hidden = sarm.Backbone.Hidden(tensor(text.Ids.Select(token => (long)token).ToArray()).unsqueeze(0), new LlamaRun { FinalNorm = false }).ToFloats();
        var (encoder, bias, centres) = (sae.EncoderWeight.detach().ToFloats(), sae.LatentBias.detach().ToFloats(), sae.PreBias.detach().ToFloats());
        var values = new List<double[]>();
        for (var at = 0; at < text.Ids.Length; at++)
        {
            double[] h = [.. hidden.Skip(at * d).Take(d).Select(number => (double)number)];
            var mean = h.Average();
            var deviation = Math.Sqrt(h.Sum(number => (number - mean) * (number - mean)) / (d - 1));
            var centre = !config.CentresPositions ? 0 : at == text.Ids.Length - 1 ? (int)SaePosition.ResponseEnd : (int)SaePosition.SentenceEnd;
            double[] x = [.. h.Select((number, j) => (number - mean) / (deviation + config.NormaliserEpsilon) - centres[centre * d + j])];
            values.Add([.. Enumerable.Range(0, m).Select(latent => bias[latent] + x.Select((number, j) => number * encoder[latent * d + j]).Sum())]);
        }
        return (values, text.Mask);
    }
}
