using System.Diagnostics;
using TorchSharp;
using TrainServe.Core;
using TrainServe.Core.Random;
using TrainServe.Model;
using TrainServe.Model.Kernels;
using TrainServe.Training.Data;
using TrainServe.Training.Loops;
using TrainServe.Training.Optimization;
using TrainServe.Training.Recipes;
using static TorchSharp.torch;
using AdamW = TrainServe.Training.Optimization.AdamW;

namespace TrainServe.Training.Benchmarks;

/// <summary>What one kind of step reached.</summary>
/// <param name="Shape">Name of the shape.</param>
/// <param name="Parameters">Weights.</param>
/// <param name="Step">plain, or the kernels' name.</param>
/// <param name="Precision">What forward and backward compute in.</param>
/// <param name="Threads">Of one operation.</param>
/// <param name="Batch">B.</param>
/// <param name="SequenceLength">T.</param>
/// <param name="TokensPerSecond">Median over the steps.</param>
/// <param name="RatioToPlain">Median over the pairs of steps that followed each other.</param>
/// <param name="ProcessorRatioToPlain">The same of processor time, which other work on the machine disturbs less.</param>
/// <param name="GemmFraction">Time that the network's own matrix products take alone, at their best, over the time of a step.</param>
/// <param name="PeakBytes">Of the process, plain and fast together.</param>
/// <param name="Seconds">Of a step, the median.</param>
/// <param name="UpdateSeconds">Of the optimizer's pass over all weights, by itself; clipping, which goes with the fast one, is not in the plain one's.</param>
/// <param name="UpdateRatioToPlain">Median over the pairs of passes that followed each other.</param>
public sealed record StepMeasurement(string Shape, long Parameters, string Step, string Precision, int Threads, int Batch, int SequenceLength, double TokensPerSecond,
    double RatioToPlain, double ProcessorRatioToPlain, double GemmFraction, long PeakBytes, double Seconds, double UpdateSeconds, double UpdateRatioToPlain);

/// <summary>The plain step against the fast one, in turn, in one process, on random tokens.</summary>
/// <remarks>Plain is libtorch's operators in single precision with its scaled dot-product attention, TorchSharp's AdamW and its clipping by norm.</remarks>
public sealed class StepBenchmark : IDisposable
{
    private const double ClipNorm = 1, LearningRate = 1e-3;
    private readonly TrainingShape _shape;
    private readonly int _rows, _columns;
    private readonly Transformer _plain, _fast;
    private readonly torch.optim.Optimizer _plainOptimizer;
    private readonly AdamW _fastOptimizer;
    private readonly TrainingStep _fastStep;

    /// <param name="shape">The network.</param>
    /// <param name="rows">B.</param>
    /// <param name="columns">T.</param>
    /// <param name="precision">Of the fast step.</param>
    public StepBenchmark(TrainingShape shape, int rows, int columns, TrainingPrecision precision)
    {
        (_shape, _rows, _columns) = (shape, rows, columns);
        (_plain, _fast) = (New(shape.Config), New(shape.Config));
        _fast.Kernels = TrainingKernels.Choose(precision, _fast);
        _plainOptimizer = optim.AdamW(_plain.parameters(), lr: LearningRate, weight_decay: 0.1);
        _fastOptimizer = new AdamW(_fast.named_parameters().Select(parameter => (parameter.name, parameter.parameter)), new OptimizerSection());
        _fastStep = new TrainingStep(_fast, _fastOptimizer, ClipNorm);
    }

    /// <summary>Runs pairs of steps; the first pair warms up and does not count.</summary>
    /// <param name="pairs">At least one.</param>
    /// <param name="cancellationToken">Stops between steps.</param>
    /// <returns>Plain, then fast.</returns>
    public IReadOnlyList<StepMeasurement> Run(int pairs, CancellationToken cancellationToken = default)
    {
        var plain = new List<Cost>();
        var fast = new List<Cost>();
        for (int pair = 0; pair <= pairs; pair++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var batch = Batch(pair);
            plain.Add(Cost.Of(() => PlainStep(batch)));
            fast.Add(Cost.Of(() => _fastStep.Run([batch], LearningRate, dropoutSeed: 0)));
        }
        plain.RemoveAt(0);
        fast.RemoveAt(0);
        var matrices = _fast.Kernels.Matrices;
        var (plainUpdates, fastUpdates) = Updates(pairs, cancellationToken);
        return
        [
            Measurement("plain", "float32", plain, 1, 1, GemmSeconds(ScalarType.Float32), Median(plainUpdates), 1),
            Measurement(_fast.Kernels.Name, matrices == ScalarType.BFloat16 ? "bfloat16" : "float32", fast, Median(plain.Zip(fast, (one, other) => one.Seconds / other.Seconds)),
                Median(plain.Zip(fast, (one, other) => one.ProcessorSeconds / other.ProcessorSeconds)), GemmSeconds(matrices),
                Median(fastUpdates), Median(plainUpdates.Zip(fastUpdates, (one, other) => one / other))),
        ];
    }

    public void Dispose()
    {
        _plainOptimizer.Dispose();
        _fastOptimizer.Dispose();
        _plain.Dispose();
        _fast.Dispose();
    }

    private static Transformer New(ModelConfig config)
    {
        var model = new Transformer(config);
        model.Initialize(seed: 1);
        return model;
    }

    private static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    private StepMeasurement Measurement(string step, string precision, List<Cost> costs, double ratio, double processorRatio, double gemmSeconds, double updateSeconds, double updateRatio)
    {
        double seconds = Median(costs.Select(cost => cost.Seconds));
        using var process = Process.GetCurrentProcess();
        return new StepMeasurement(_shape.Name, _shape.Config.ParameterCount, step, precision, TorchRuntime.Threads, _rows, _columns, _rows * _columns / seconds, ratio, processorRatio,
            gemmSeconds / seconds, process.PeakWorkingSet64, seconds, updateSeconds, updateRatio);
    }

    private void PlainStep(TokenBatch batch)
    {
        using var scope = NewDisposeScope();
        _plain.train();
        var loss = BatchTensors.LossSum(_plain, batch) / LiveScalar.Of(batch.LearnedTokens);
        loss.backward();
        nn.utils.clip_grad_norm_(_plain.parameters(), ClipNorm);
        _plainOptimizer.step();
        _plainOptimizer.zero_grad();
        _ = loss.item<float>();
    }

    // TorchSharp's AdamW against norm, clipping and update by the kernel, in turn, on gradients that stay.
    private (List<double> Plain, List<double> Fast) Updates(int pairs, CancellationToken cancellationToken)
    {
        using var scope = NewDisposeScope();
        foreach (var parameter in _plain.parameters().Concat(_fast.parameters()))
        {
            parameter.grad = full_like(parameter, LiveScalar.Of(1e-4));
        }
        TorchSharp.Modules.Parameter[] fastParameters = [.. _fast.parameters()];
        var (plain, fast) = (new List<double>(), new List<double>());
        for (int pair = 0; pair <= pairs; pair++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            plain.Add(Cost.Of(() => _plainOptimizer.step()).Seconds);
            fast.Add(Cost.Of(() => _fastOptimizer.Update(LearningRate, Gradients.ClipFactor(Gradients.GlobalNorm(fastParameters), ClipNorm))).Seconds);
        }
        _plainOptimizer.zero_grad();
        Gradients.Clear(fastParameters);
        plain.RemoveAt(0);
        fast.RemoveAt(0);
        return (plain, fast);
    }

    private TokenBatch Batch(int number)
    {
        var random = new PhiloxRandom(2, (ulong)number);
        int[] tokens = [.. Enumerable.Range(0, _rows * _columns + 1).Select(_ => random.NextInt32(_shape.Config.VocabSize))];
        return new TokenBatch(_rows, _columns, tokens[..^1], tokens[1..], DataCursor.Start(1), "random");
    }

    // Forward, and backward's two products, of every matrix: the best of a few times each.
    private double GemmSeconds(ScalarType dtype)
    {
        const int times = 5;
        var c = _shape.Config;
        long width = c.HiddenSize, query = (long)c.NumAttentionHeads * c.HeadDim, rows = (long)_rows * _columns;
        (long Out, long In, int Count)[] matrices =
        [
            (query + 2L * c.NumKeyValueHeads * c.HeadDim, width, c.NumHiddenLayers), (width, query, c.NumHiddenLayers), (2L * c.IntermediateSize, width, c.NumHiddenLayers),
            (width, c.IntermediateSize, c.NumHiddenLayers), (c.VocabSize, width, 1),
        ];
        using var noGradient = no_grad();
        double total = 0;
        foreach (var (rowsOut, columnsIn, count) in matrices)
        {
            using var scope = NewDisposeScope();
            Tensor x = randn(rows, columnsIn).to(dtype), weight = randn(rowsOut, columnsIn).to(dtype), gradient = randn(rows, rowsOut).to(dtype);
            total += count * (Best(x, weight.t()) + Best(gradient, weight) + Best(gradient.t(), x));
        }
        return total;

        // Of libtorch's own choice and of what the fast step uses.
        static double Best(Tensor left, Tensor right) => Math.Min(Least(() => mm(left, right)), Least(() => MatrixProduct.Of(left, right)));

        static double Least(Func<Tensor> multiply) => Enumerable.Range(0, times).Min(_ =>
        {
            long started = Stopwatch.GetTimestamp();
            multiply().Dispose();
            return Stopwatch.GetElapsedTime(started).TotalSeconds;
        });
    }

    private readonly record struct Cost(double Seconds, double ProcessorSeconds)
    {
        public static Cost Of(Action step)
        {
            long started = Stopwatch.GetTimestamp();
            var processor = Environment.CpuUsage.TotalTime;
            step();
            return new Cost(Stopwatch.GetElapsedTime(started).TotalSeconds, (Environment.CpuUsage.TotalTime - processor).TotalSeconds);
        }
    }
}
