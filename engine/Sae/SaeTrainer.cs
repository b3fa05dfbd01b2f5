using System.Numerics;
using System.Runtime.InteropServices;
using Portal.Data.JobSpecs;
using TorchSharp;
using static TorchSharp.torch;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Portal.Engine.Sae;

/// <summary>What one training step of an SAE saw.</summary>
/// <param name="Nmse">Mean over rows of ‖x̂ − x‖² / ‖x‖², before the step.</param>
/// <param name="AuxiliaryLoss">The auxiliary loss with its coefficient; 0 without one.</param>
/// <param name="Active">Mean number of latents above 0 in a row (L0).</param>
/// <param name="GradientNorm">L2 norm of all gradients.</param>
public sealed record SaeStep(double Nmse, double AuxiliaryLoss, double Active, double GradientNorm);

/// <summary>How an SAE is trained, besides its shape.</summary>
public sealed record SaeTrainerOptions
{
    public double Beta1 { get; init; } = 0.9;
    public double Beta2 { get; init; } = 0.999;
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>Weight of the auxiliary loss that lets dead latents explain what the living ones left over; 0 for none (as the authors).</summary>
    public double AuxiliaryCoefficient { get; init; }

    /// <summary>A latent counts as dead after so many vectors without it.</summary>
    public long DeadAfterVectors { get; init; } = 50_000;

    /// <summary>The decoder's rows are scaled to norm 1 after every so many steps.</summary>
    public int UnitNormEverySteps { get; init; } = 10;
}

/// <summary>
/// Trains a <see cref="TopKSae"/> on the processor: gradients by hand, because nearly all of them are zero.
/// <code>
/// L = mean over rows of ‖x̂ − x‖² / ‖x‖²           g = 2 (x̂ − x) / (‖x‖² B)
/// ∂W_dec[i] = Σ z_i g     ∂z_i = W_dec[i]·g        ∂W_enc[i] = Σ ∂z_i (x − b_pre)     ∂b_lat[i] = Σ ∂z_i
/// ∂b_pre = Σ g − Σ ∂z_i W_enc[i]                  (all over the selected i of each row only)
/// </code>
/// </summary>
/// <remarks>
/// Autograd makes six products of [B, d] and [M, d]; of these only the first, W_enc (x − b_pre), is needed: the rest touches k of M rows. What
/// remains dear is Adam, which moves every weight at every step (a zero gradient still decays its moments): it runs in the same pass that
/// makes a latent's gradient, which is therefore never stored. Rows are shared out among threads, then latents; sums are always taken in
/// the same order, so the weights do not depend on the number of threads.
/// <para>Auxiliary loss (Gao et al. 2024, 2406.04093, appendix A.2; specs/sarm.md §6.1): the k_aux = d/2 largest dead latents reconstruct the
/// residual e = x − x̂, which is held fixed; L_aux = coefficient · min(dead / k_aux, 1) · mean ‖ê − e‖² / ‖x‖². All of it in normalised space
/// and without b_pre: with a normaliser for each vector anything else lets the dead latents see the residual's scale (SAELens #666).</para>
/// </remarks>
public sealed unsafe class SaeTrainer : IDisposable
{
    /// <summary>Share of the old threshold that BatchTopK keeps at each step.</summary>
    private const double ThresholdMemory = 0.99;

    private readonly TopKSae sae;
    private readonly SaeTrainerOptions options;
    private readonly SaeConfig config;
    private readonly Moments encoder, bias, decoder, centre;
    private readonly long[] silent;
    private readonly Batch batch = new();
    private Tensor? states, preActivations;
    private long steps;
    private double threshold;

    public SaeTrainer(TopKSae sae, SaeTrainerOptions options)
    {
        if (sae.EncoderWeight.device_type != DeviceType.CPU)
            throw new ArgumentException("SAEs are trained on the processor; move this one there");
        (this.sae, this.options, config) = (sae, options, sae.Config);
        (encoder, bias, decoder, centre) = (new Moments(sae.EncoderWeight), new Moments(sae.LatentBias), new Moments(sae.DecoderWeight), new Moments(sae.PreBias));
        silent = new long[config.Latents];
    }

    /// <summary>Finished steps.</summary>
    public long Steps => steps;

    /// <summary>Latents that no vector has activated for <see cref="SaeTrainerOptions.DeadAfterVectors"/> vectors.</summary>
    public int Dead => silent.Count(vectors => vectors >= options.DeadAfterVectors);

    /// <summary>One step of Adam on some vectors.</summary>
    /// <param name="x">Normalised vectors. [B, d], row by row.</param>
    /// <param name="positions">Where each was read. [B].</param>
    /// <param name="learningRate">Of this step.</param>
    public SaeStep Step(ReadOnlySpan<float> x, ReadOnlySpan<SaePosition> positions, double learningRate)
    {
        var (rows, width) = (positions.Length, config.Width);
        if (rows == 0 || x.Length != (long)rows * width)
            throw new ArgumentException($"{x.Length} numbers are not {rows} vectors of {width}");
        batch.Reserve(rows, config, options);
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        Centre(x, positions);
        fixed (float* p = Floats(Encode(rows)))
        {
            Select(p, rows);
            var dead = options.AuxiliaryCoefficient > 0 ? DeadLatents() : [];
            var (error, auxiliary) = Residuals(x, positions, p, dead, rows);
            Count(rows);
            var norm = Move(positions, rows, learningRate);
            steps++;
            if (steps % options.UnitNormEverySteps == 0)
                sae.NormaliseDecoder();
            return new SaeStep(error, auxiliary, batch.Values.Take(batch.Start[rows]).Count(value => value > 0) / (double)rows, norm);
        }
    }

    /// <summary>Gives the SAE what training found besides its weights; call it when the last step is done.</summary>
    public void Finish()
    {
        sae.NormaliseDecoder();
        if (config.Selection is SaeSelection.BatchTopK)
            sae.SetThreshold(threshold);
    }

    /// <summary>Writes what a resumed run needs besides the weights.</summary>
    public void Save(Stream stream)
    {
        using var writer = new BinaryWriter(stream, System.Text.Encoding.UTF8, leaveOpen: true);
        writer.Write(steps);
        writer.Write(threshold);
        foreach (var vectors in silent)
            writer.Write(vectors);
        foreach (var moments in new[] { encoder, bias, decoder, centre })
            moments.Save(writer);
    }

    /// <summary>Reads what <see cref="Save"/> wrote for an SAE of the same shape.</summary>
    public void Load(Stream stream)
    {
        using var reader = new BinaryReader(stream, System.Text.Encoding.UTF8, leaveOpen: true);
        steps = reader.ReadInt64();
        threshold = reader.ReadDouble();
        for (var i = 0; i < silent.Length; i++)
            silent[i] = reader.ReadInt64();
        foreach (var moments in new[] { encoder, bias, decoder, centre })
            moments.Load(reader);
    }

    public void Dispose()
    {
        states?.Dispose();
        preActivations?.Dispose();
    }

    private static Span<float> Floats(Tensor tensor) => MemoryMarshal.Cast<byte, float>(tensor.bytes);

    private static ParallelOptions Threads => new() { MaxDegreeOfParallelism = Math.Max(1, get_num_threads()) };

    /// <summary>p of the centred rows. [B, M]. In memory that is kept: megabytes asked of the system at each step cost more than the product.</summary>
    private Tensor Encode(int rows)
    {
        if (states is null || states.shape[0] != rows)
            (states, preActivations) = (Kept(states, rows, config.Width), Kept(preActivations, rows, config.Latents));
        batch.Centred.AsSpan(0, rows * config.Width).CopyTo(Floats(states));
        preActivations!.copy_(sae.LatentBias.expand(rows, -1)); // made with the states
        return preActivations.addmm_(states, sae.EncoderWeight.t());

        static Tensor Kept(Tensor? old, int rows, int columns)
        {
            old?.Dispose();
            return empty(rows, columns).DetachFromDisposeScope();
        }
    }

    /// <summary>x − b_pre.</summary>
    private void Centre(ReadOnlySpan<float> x, ReadOnlySpan<SaePosition> positions)
    {
        var width = config.Width;
        var centres = Floats(sae.PreBias);
        for (var row = 0; row < positions.Length; row++)
            TensorPrimitives.Subtract(x.Slice(row * width, width), centres.Slice(config.CentreOf(positions[row]) * width, width), batch.Centred.AsSpan(row * width, width));
    }

    /// <summary>Fills the batch's selected latents and their z, row by row.</summary>
    private void Select(float* p, int rows)
    {
        var (latents, k) = (config.Latents, config.K);
        if (config.Selection is SaeSelection.BatchTopK)
        {
            SelectOfBatch(new ReadOnlySpan<float>(p, rows * latents), rows);
        }
        else
        {
            for (var row = 0; row <= rows; row++)
                batch.Start[row] = row * k;
            Parallel.For(0, rows, Threads, row => TopKSelection.Select(new ReadOnlySpan<float>(p + (long)row * latents, latents),
                batch.Indices.AsSpan(row * k, k), batch.Values.AsSpan(row * k, k)));
        }
        if (config.UseRelu)
            TensorPrimitives.Max(batch.Values.AsSpan(0, batch.Start[rows]), 0f, batch.Values.AsSpan(0, batch.Start[rows]));
    }

    private void SelectOfBatch(ReadOnlySpan<float> p, int rows)
    {
        var (latents, wanted) = (config.Latents, rows * config.K);
        var (chosen, values) = (new int[wanted], new float[wanted]);
        TopKSelection.Select(p, chosen, values);
        var least = values.Where(value => value > 0).DefaultIfEmpty(0).Min();
        threshold = steps == 0 ? least : ThresholdMemory * threshold + (1 - ThresholdMemory) * least;
        Array.Sort(chosen, values); // by row, then latent
        var entry = 0;
        for (var row = 0; row < rows; row++)
        {
            batch.Start[row] = entry;
            for (; entry < wanted && chosen[entry] / latents == row; entry++)
                (batch.Indices[entry], batch.Values[entry]) = (chosen[entry] % latents, values[entry]);
        }
        batch.Start[rows] = entry;
    }

    private int[] DeadLatents()
    {
        var dead = new List<int>();
        for (var i = 0; i < silent.Length; i++)
        {
            if (silent[i] >= options.DeadAfterVectors)
                dead.Add(i);
        }
        return [.. dead];
    }

    /// <summary>g and ∂z of every row, for the loss and for the auxiliary one; returns both losses.</summary>
    private (double Error, double Auxiliary) Residuals(ReadOnlySpan<float> x, ReadOnlySpan<SaePosition> positions, float* p, int[] dead, int rows)
    {
        var (width, centres) = (config.Width, positions.ToArray());
        batch.AuxiliaryCount = Math.Min(config.Width / 2, dead.Length);
        var scale = options.AuxiliaryCoefficient * Math.Min(dead.Length / (config.Width / 2.0), 1);
        fixed (float* inputs = x, weights = Floats(sae.DecoderWeight), origins = Floats(sae.PreBias))
        {
            var (input, directions, origin) = ((nint)inputs, (nint)weights, (nint)origins);
            Parallel.For(0, rows, Threads, row =>
            {
                var vector = new ReadOnlySpan<float>((float*)input + (long)row * width, width);
                var decoder = new ReadOnlySpan<float>((float*)directions, config.Latents * width);
                var gradient = batch.Gradient.AsSpan(row * width, width);
                // The residual x̂ − x first; it becomes g by a factor.
                TensorPrimitives.Subtract(new ReadOnlySpan<float>((float*)origin + config.CentreOf(centres[row]) * width, width), vector, gradient);
                for (var entry = batch.Start[row]; entry < batch.Start[row + 1]; entry++)
                    TensorPrimitives.MultiplyAdd(decoder.Slice(batch.Indices[entry] * width, width), batch.Values[entry], gradient, gradient);
                var size = TensorPrimitives.SumOfSquares(vector);
                var factor = 2 / (size * rows);
                batch.Errors[row] = TensorPrimitives.SumOfSquares<float>(gradient) / size;
                if (batch.AuxiliaryCount > 0)
                    batch.AuxiliaryErrors[row] = Auxiliary(row, new ReadOnlySpan<float>(p + (long)row * config.Latents, config.Latents), dead, decoder, gradient, size, (float)(factor * scale));
                TensorPrimitives.Multiply(gradient, factor, gradient);
                for (var entry = batch.Start[row]; entry < batch.Start[row + 1]; entry++)
                    batch.Slopes[entry] = config.UseRelu && batch.Values[entry] <= 0 ? 0 : TensorPrimitives.Dot(decoder.Slice(batch.Indices[entry] * width, width), gradient);
            });
        }
        return (batch.Errors.Take(rows).Sum(error => (double)error) / rows,
            batch.AuxiliaryCount == 0 ? 0 : scale * batch.AuxiliaryErrors.Take(rows).Sum(error => (double)error) / rows);
    }

    /// <summary>The dead latents' share of a row: they reconstruct −residual. Returns ‖ê − e‖² / ‖x‖².</summary>
    /// <param name="residual">x̂ − x.</param>
    /// <param name="factor">Of the gradient: 2 · coefficient · scale / (‖x‖² B).</param>
    private float Auxiliary(int row, ReadOnlySpan<float> p, int[] dead, ReadOnlySpan<float> decoder, ReadOnlySpan<float> residual, float size, float factor)
    {
        var (width, count) = (config.Width, batch.AuxiliaryCount);
        var candidates = new float[dead.Length];
        for (var i = 0; i < dead.Length; i++)
            candidates[i] = p[dead[i]];
        var indices = batch.AuxiliaryIndices.AsSpan(row * count, count);
        var values = batch.AuxiliaryValues.AsSpan(row * count, count);
        TopKSelection.Select(candidates, indices, values);
        var gradient = batch.AuxiliaryGradient.AsSpan(row * width, width);
        residual.CopyTo(gradient); // ê − e with e = −residual
        for (var i = 0; i < count; i++)
        {
            indices[i] = dead[indices[i]];
            values[i] = config.UseRelu ? Math.Max(values[i], 0) : values[i];
            TensorPrimitives.MultiplyAdd(decoder.Slice(indices[i] * width, width), values[i], gradient, gradient);
        }
        var error = TensorPrimitives.SumOfSquares<float>(gradient) / size;
        TensorPrimitives.Multiply(gradient, factor, gradient);
        for (var i = 0; i < count; i++)
            batch.AuxiliarySlopes[row * count + i] = config.UseRelu && values[i] <= 0 ? 0 : TensorPrimitives.Dot(decoder.Slice(indices[i] * width, width), gradient);
        return error;
    }

    /// <summary>Who was silent for how long.</summary>
    private void Count(int rows)
    {
        for (var i = 0; i < silent.Length; i++)
            silent[i] += rows;
        for (var entry = 0; entry < batch.Start[rows]; entry++)
        {
            if (batch.Values[entry] > 0)
                silent[batch.Indices[entry]] = 0;
        }
    }

    /// <summary>Makes each latent's gradient and moves its weights at once; returns the gradients' norm.</summary>
    private double Move(ReadOnlySpan<SaePosition> positions, int rows, double learningRate)
    {
        var (latents, width, auxiliary) = (config.Latents, config.Width, batch.AuxiliaryCount);
        batch.Group(rows, latents);
        var adam = new Adam(options, learningRate, steps + 1);
        var squares = CentreGradient(positions, rows); // of the weights as they were
        var norms = new double[latents];
        fixed (float* encoderWeights = Floats(sae.EncoderWeight), decoderWeights = Floats(sae.DecoderWeight), biases = Floats(sae.LatentBias))
        {
            var (toEncoder, toDecoder, toBias) = ((nint)encoderWeights, (nint)decoderWeights, (nint)biases);
            Parallel.For(0, latents, Threads, () => new float[2 * width + 1], (latent, _, buffer) =>
            {
                var ofEncoder = buffer.AsSpan(0, width);
                var ofDecoder = buffer.AsSpan(width, width);
                var ofBias = buffer.AsSpan(2 * width, 1);
                Array.Clear(buffer);
                for (var at = batch.GroupStart[latent]; at < batch.GroupStart[latent + 1]; at++)
                {
                    var entry = batch.Grouped[at];
                    var row = batch.RowOf[entry];
                    Add(row, batch.Values[entry], batch.Slopes[entry], batch.Gradient, ofEncoder, ofDecoder, ofBias);
                }
                for (var at = auxiliary > 0 ? batch.AuxiliaryGroupStart[latent] : 0; auxiliary > 0 && at < batch.AuxiliaryGroupStart[latent + 1]; at++)
                {
                    var entry = batch.AuxiliaryGrouped[at];
                    Add(entry / auxiliary, batch.AuxiliaryValues[entry], batch.AuxiliarySlopes[entry], batch.AuxiliaryGradient, ofEncoder, ofDecoder, ofBias);
                }
                norms[latent] = (double)TensorPrimitives.SumOfSquares<float>(buffer);
                adam.Move(new Span<float>((float*)toEncoder + (long)latent * width, width), ofEncoder, encoder, latent * width);
                adam.Move(new Span<float>((float*)toDecoder + (long)latent * width, width), ofDecoder, decoder, latent * width);
                adam.Move(new Span<float>((float*)toBias + latent, 1), ofBias, bias, latent);
                return buffer;
            }, _ => { });
        }
        adam.Move(Floats(sae.PreBias), batch.CentreGradient, centre, 0);
        return Math.Sqrt(squares + norms.Sum());

        void Add(int row, float value, float slope, float[] gradient, Span<float> ofEncoder, Span<float> ofDecoder, Span<float> ofBias)
        {
            if (value != 0)
                TensorPrimitives.MultiplyAdd(gradient.AsSpan(row * width, width), value, ofDecoder, ofDecoder);
            if (slope != 0)
                TensorPrimitives.MultiplyAdd(batch.Centred.AsSpan(row * width, width), slope, ofEncoder, ofEncoder);
            ofBias[0] += slope;
        }
    }

    /// <summary>∂b_pre of each centre into the batch; returns the sum of its squares.</summary>
    private double CentreGradient(ReadOnlySpan<SaePosition> positions, int rows)
    {
        var width = config.Width;
        var weights = Floats(sae.EncoderWeight);
        Array.Clear(batch.CentreGradient);
        var slopes = new float[config.Centres * config.Latents];
        for (var row = 0; row < rows; row++)
        {
            var at = config.CentreOf(positions[row]);
            var gradient = batch.CentreGradient.AsSpan(at * width, width);
            TensorPrimitives.Add(gradient, batch.Gradient.AsSpan(row * width, width), gradient);
            for (var entry = batch.Start[row]; entry < batch.Start[row + 1]; entry++)
                slopes[at * config.Latents + batch.Indices[entry]] += batch.Slopes[entry];
            for (var entry = row * batch.AuxiliaryCount; entry < (row + 1) * batch.AuxiliaryCount; entry++)
                slopes[at * config.Latents + batch.AuxiliaryIndices[entry]] += batch.AuxiliarySlopes[entry];
        }
        for (var i = 0; i < slopes.Length; i++)
        {
            if (slopes[i] == 0)
                continue;
            var gradient = batch.CentreGradient.AsSpan(i / config.Latents * width, width);
            TensorPrimitives.MultiplyAdd(weights.Slice(i % config.Latents * width, width), -slopes[i], gradient, gradient);
        }
        return TensorPrimitives.SumOfSquares<float>(batch.CentreGradient);
    }

    /// <summary>Adam's two moments of one weight tensor.</summary>
    private sealed class Moments(Tensor weights)
    {
        public float[] First { get; } = new float[weights.numel()];
        public float[] Second { get; } = new float[weights.numel()];

        public void Save(BinaryWriter writer)
        {
            writer.Write(MemoryMarshal.AsBytes<float>(First));
            writer.Write(MemoryMarshal.AsBytes<float>(Second));
        }

        public void Load(BinaryReader reader)
        {
            reader.BaseStream.ReadExactly(MemoryMarshal.AsBytes(First.AsSpan()));
            reader.BaseStream.ReadExactly(MemoryMarshal.AsBytes(Second.AsSpan()));
        }
    }

    /// <summary>Adam without weight decay, with PyTorch's order of operations. Kingma and Ba 2015 (1412.6980), algorithm 1.</summary>
    private sealed class Adam(SaeTrainerOptions options, double learningRate, long step)
    {
        private readonly float beta1 = (float)options.Beta1, beta2 = (float)options.Beta2, epsilon = (float)options.Epsilon;
        private readonly float rate = (float)(learningRate / (1 - Math.Pow(options.Beta1, step)));
        private readonly float correction = (float)(1 / Math.Sqrt(1 - Math.Pow(options.Beta2, step)));

        public void Move(Span<float> weights, ReadOnlySpan<float> gradient, Moments moments, int offset)
        {
            var first = moments.First.AsSpan(offset, weights.Length);
            var second = moments.Second.AsSpan(offset, weights.Length);
            var (i, lanes) = (0, Vector<float>.Count);
            for (; i <= weights.Length - lanes; i += lanes)
            {
                var g = new Vector<float>(gradient[i..]);
                var m = new Vector<float>(first[i..]) * beta1 + g * (1 - beta1);
                var v = new Vector<float>(second[i..]) * beta2 + g * g * (1 - beta2);
                m.CopyTo(first[i..]);
                v.CopyTo(second[i..]);
                var denominator = Vector.SquareRoot(v) * correction + new Vector<float>(epsilon);
                (new Vector<float>(weights[i..]) - m * rate / denominator).CopyTo(weights[i..]);
            }
            for (; i < weights.Length; i++)
            {
                first[i] = first[i] * beta1 + gradient[i] * (1 - beta1);
                second[i] = second[i] * beta2 + gradient[i] * gradient[i] * (1 - beta2);
                weights[i] -= first[i] * rate / (MathF.Sqrt(second[i]) * correction + epsilon);
            }
        }
    }

    /// <summary>Memory of a step, kept from one to the next.</summary>
    private sealed class Batch
    {
        private int rows;

        public float[] Centred { get; private set; } = [];
        public float[] Gradient { get; private set; } = [];
        public float[] Errors { get; private set; } = [];

        /// <summary>Entries of row r are Start[r] to Start[r + 1] − 1.</summary>
        public int[] Start { get; private set; } = [];
        public int[] Indices { get; private set; } = [];
        public float[] Values { get; private set; } = [];
        public float[] Slopes { get; private set; } = [];
        public int[] RowOf { get; private set; } = [];

        /// <summary>Entries in order of their latent, those of latent i from GroupStart[i].</summary>
        public int[] Grouped { get; private set; } = [];
        public int[] GroupStart { get; private set; } = [];

        public float[] CentreGradient { get; private set; } = [];

        /// <summary>Dead latents used in each row of this step.</summary>
        public int AuxiliaryCount { get; set; }
        public float[] AuxiliaryGradient { get; private set; } = [];
        public float[] AuxiliaryErrors { get; private set; } = [];
        public int[] AuxiliaryIndices { get; private set; } = [];
        public float[] AuxiliaryValues { get; private set; } = [];
        public float[] AuxiliarySlopes { get; private set; } = [];
        public int[] AuxiliaryGrouped { get; private set; } = [];
        public int[] AuxiliaryGroupStart { get; private set; } = [];

        public void Reserve(int wanted, SaeConfig config, SaeTrainerOptions options)
        {
            if (wanted <= rows)
                return;
            rows = wanted;
            var (width, entries) = (config.Width, wanted * config.K);
            (Centred, Gradient, Errors) = (new float[wanted * width], new float[wanted * width], new float[wanted]);
            (Start, Indices, Values, Slopes, RowOf, Grouped) = (new int[wanted + 1], new int[entries], new float[entries], new float[entries], new int[entries], new int[entries]);
            GroupStart = new int[config.Latents + 1];
            CentreGradient = new float[config.Centres * width];
            if (options.AuxiliaryCoefficient == 0)
                return;
            var auxiliary = wanted * (width / 2);
            (AuxiliaryGradient, AuxiliaryErrors) = (new float[wanted * width], new float[wanted]);
            (AuxiliaryIndices, AuxiliaryValues, AuxiliarySlopes, AuxiliaryGrouped) = (new int[auxiliary], new float[auxiliary], new float[auxiliary], new int[auxiliary]);
            AuxiliaryGroupStart = new int[config.Latents + 1];
        }

        /// <summary>Sorts entries by latent; within one they keep the order of the rows.</summary>
        public void Group(int count, int latents)
        {
            for (var row = 0; row < count; row++)
                Array.Fill(RowOf, row, Start[row], Start[row + 1] - Start[row]);
            Sort(Indices.AsSpan(0, Start[count]), Grouped, GroupStart, latents);
            if (AuxiliaryCount > 0)
                Sort(AuxiliaryIndices.AsSpan(0, count * AuxiliaryCount), AuxiliaryGrouped, AuxiliaryGroupStart, latents);
        }

        private static void Sort(ReadOnlySpan<int> keys, int[] grouped, int[] start, int latents)
        {
            Array.Clear(start);
            foreach (var key in keys)
                start[key + 1]++;
            for (var i = 0; i < latents; i++)
                start[i + 1] += start[i];
            var next = start.AsSpan(0, latents).ToArray();
            for (var entry = 0; entry < keys.Length; entry++)
                grouped[next[keys[entry]]++] = entry;
        }
    }
}
