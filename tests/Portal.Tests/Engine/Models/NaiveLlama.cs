using TorchSharp;
using static TorchSharp.torch;

namespace Portal.Tests.Engine.Models;

/// <summary>
/// A Llama forward pass written from the papers in plain double loops on weights in Hugging Face's layout (rotary pairs half a
/// head apart): slow, and independent of the engine's operators, fusion and row order.
/// </summary>
internal sealed class NaiveLlama(IReadOnlyDictionary<string, Tensor> weights, int layers, int heads, int keyHeads, double epsilon, double theta)
{
    /// <summary>Logits of the token after each position. [T][V].</summary>
    public double[][] Logits(int[] ids)
    {
        var embedding = Matrix("model.embed_tokens.weight");
        var head = weights.ContainsKey("lm_head.weight") ? Matrix("lm_head.weight") : embedding;
        return [.. Hidden(ids, embedding).Select(x => Multiply(head, x))];
    }

    private double[][] Hidden(int[] ids, double[][] embedding)
    {
        var stream = ids.Select(id => (double[])embedding[id].Clone()).ToArray();
        for (var layer = 0; layer < layers; layer++)
        {
            var prefix = $"model.layers.{layer}.";
            var normed = stream.Select(x => Norm(x, Vector(prefix + "input_layernorm.weight"))).ToArray();
            var attended = Attention(normed, prefix + "self_attn.");
            var (gate, up, down) = (Matrix(prefix + "mlp.gate_proj.weight"), Matrix(prefix + "mlp.up_proj.weight"), Matrix(prefix + "mlp.down_proj.weight"));
            for (var t = 0; t < stream.Length; t++)
            {
                stream[t] = Add(stream[t], attended[t]);
                var x = Norm(stream[t], Vector(prefix + "post_attention_layernorm.weight"));
                var inner = Multiply(gate, x).Zip(Multiply(up, x), (g, u) => g / (1 + Math.Exp(-g)) * u).ToArray();
                stream[t] = Add(stream[t], Multiply(down, inner));
            }
        }

        return [.. stream.Select(x => Norm(x, Vector("model.norm.weight")))];
    }

    private double[][] Attention(double[][] inputs, string prefix)
    {
        var (wq, wk, wv, wo) = (Matrix(prefix + "q_proj.weight"), Matrix(prefix + "k_proj.weight"), Matrix(prefix + "v_proj.weight"), Matrix(prefix + "o_proj.weight"));
        var size = wq.Length / heads;
        var queries = inputs.Select((x, t) => Rotate(Multiply(wq, x), t, size)).ToArray();
        var keys = inputs.Select((x, t) => Rotate(Multiply(wk, x), t, size)).ToArray();
        var values = inputs.Select(x => Multiply(wv, x)).ToArray();
        var outputs = new double[inputs.Length][];
        for (var t = 0; t < inputs.Length; t++)
        {
            var joined = new double[wq.Length];
            for (var head = 0; head < heads; head++)
            {
                var shared = head / (heads / keyHeads);
                var scores = Enumerable.Range(0, t + 1)
                    .Select(s => Enumerable.Range(0, size).Sum(i => queries[t][(head * size) + i] * keys[s][(shared * size) + i]) / Math.Sqrt(size)).ToArray();
                var total = scores.Sum(score => Math.Exp(score - scores.Max()));
                for (var i = 0; i < size; i++)
                {
                    joined[(head * size) + i] = Enumerable.Range(0, t + 1).Sum(s => Math.Exp(scores[s] - scores.Max()) / total * values[s][(shared * size) + i]);
                }
            }

            outputs[t] = Multiply(wo, joined);
        }

        return outputs;
    }

    private double[] Rotate(double[] all, int position, int size)
    {
        var turned = new double[all.Length];
        for (var start = 0; start < all.Length; start += size)
        {
            for (var i = 0; i < size / 2; i++)
            {
                var angle = position * Math.Pow(theta, -2.0 * i / size);
                var (a, b) = (all[start + i], all[start + i + (size / 2)]);
                turned[start + i] = (a * Math.Cos(angle)) - (b * Math.Sin(angle));
                turned[start + i + (size / 2)] = (a * Math.Sin(angle)) + (b * Math.Cos(angle));
            }
        }

        return turned;
    }

    private double[] Norm(double[] x, double[] weight)
    {
        var scale = 1 / Math.Sqrt((x.Sum(v => v * v) / x.Length) + epsilon);
        return [.. x.Zip(weight, (v, w) => v * scale * w)];
    }

    private double[][] Matrix(string name)
    {
        var columns = (int)weights[name].shape[1];
        return [.. Vector(name).Chunk(columns)];
    }

    private double[] Vector(string name)
    {
        return [.. weights[name].to_type(ScalarType.Float64).flatten().data<double>().ToArray()];
    }

    private static double[] Multiply(double[][] matrix, double[] x)
    {
        return [.. matrix.Select(row => row.Zip(x, (a, b) => a * b).Sum())];
    }

    private static double[] Add(double[] a, double[] b)
    {
        return [.. a.Zip(b, (x, y) => x + y)];
    }
}
