using TrainServe.Core.Packaging;
using TrainServe.TestSupport;
using TrainServe.Training.Optimization;
using TrainServe.Training.Recipes;
using static TorchSharp.torch;
using AdamW = TrainServe.Training.Optimization.AdamW;
using Parameter = TorchSharp.Modules.Parameter;
using TrainServe.Model;

namespace TrainServe.Training.Tests.Optimization;

public sealed class AdamWTests : IDisposable
{
    private readonly DisposeScopeHolder _scope = new();

    public void Dispose() => _scope.Dispose();

    [Fact]
    public void The_first_updates_are_those_computed_by_hand()
    {
        var weight = Weight([1f], 1, 1);
        using var optimizer = new AdamW([("w", weight)], new OptimizerSection { Beta1 = 0.9, Beta2 = 0.99, Epsilon = 1e-8, WeightDecay = 0.5 });
        weight.grad = tensor(new[] { 2f }, [1, 1]);
        optimizer.Update(0.1);
        // Decay: 1 - 0.1 * 0.5 = 0.95; both moments corrected are g and g^2, so that the step is 0.1.
        Assert.Equal(0.85f, weight.item<float>(), 1e-6f);
        weight.grad = tensor(new[] { -1f }, [1, 1]);
        optimizer.Update(0.1);
        // m = 0.9 * 0.2 - 0.1 = 0.08, corrected / 0.19; v = 0.99 * 0.04 + 0.01 = 0.0496, corrected / 0.0199.
        double expected = 0.85 * 0.95 - 0.1 * (0.08 / 0.19) / Math.Sqrt(0.0496 / 0.0199);
        Assert.Equal((float)expected, weight.item<float>(), 1e-6f);
    }

    [Fact]
    public void It_computes_what_TorchSharps_own_optimizer_computes()
    {
        var ours = Weight(Enumerable.Range(0, 12).Select(i => i / 7f - 0.8f).ToArray(), 3, 4);
        var theirs = new Parameter(ours.detach().clone());
        using var optimizer = new AdamW([("w", ours)], new OptimizerSection { Beta1 = 0.9, Beta2 = 0.95, Epsilon = 1e-8, WeightDecay = 0.1 });
        using var reference = optim.AdamW([theirs], lr: 0.01, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1);
        for (int step = 0; step < 20; step++)
        {
            var gradient = (LiveScalar.Range(0, 12, CPU).to(ScalarType.Float32) * LiveScalar.Of(0.37)).Plus(step).sin().view(3, 4);
            ours.grad = gradient.clone();
            theirs.grad = gradient.clone();
            optimizer.Update(0.01);
            reference.step();
        }
        Assert.True(allclose(ours, theirs, rtol: 1e-5, atol: 1e-6));
    }

    [Fact]
    public void The_fused_update_of_a_GPU_is_that_of_the_operators()
    {
        Parameter[] fused = [Weight([0.5f, -0.25f, 1f, 2f, -3f, 0.1f], 2, 3), Weight([1f, 2f], 2)], plain = [.. fused.Select(weight => new Parameter(weight.detach().clone()))];
        Tensor[] first = [.. fused.Select(weight => zeros_like(weight))], second = [.. fused.Select(weight => zeros_like(weight))];
        using var optimizer = new AdamW(plain.Select((weight, index) => ($"w{index}", weight)), new OptimizerSection { Beta1 = 0.9, Beta2 = 0.95, Epsilon = 1e-8, WeightDecay = 0 });
        for (int step = 1; step <= 20; step++)
        {
            Tensor[] gradients = [.. fused.Select((weight, index) => (weight.detach() * LiveScalar.Of(0.3)).Plus(step + index).sin())];
            foreach (var (weight, gradient) in plain.Zip(gradients))
            {
                weight.grad = gradient.clone();
            }
            using (no_grad())
            {
                FusedAdamW.Update(fused, gradients, first, second, step, 0.01, 0.9, 0.95, weightDecay: 0, 1e-8, gradientScale: 0.4);
            }
            optimizer.Update(0.01, gradientScale: 0.4);
        }
        Assert.All(fused.Zip(plain), pair => Assert.True(allclose(pair.First, pair.Second, rtol: 1e-5, atol: 1e-6)));
    }

    [Fact]
    public void The_fused_update_lets_weights_decay_as_the_operators_do()
    {
        Parameter fused = Weight([1f, -2f], 1, 2), plain = Weight([1f, -2f], 1, 2);
        Tensor first = zeros_like(fused), second = zeros_like(fused);
        using var optimizer = new AdamW([("w", plain)], new OptimizerSection { Beta1 = 0.9, Beta2 = 0.95, Epsilon = 1e-8, WeightDecay = 0.5 });
        using (no_grad())
        {
            FusedAdamW.Update([fused], [ones_like(fused)], [first], [second], 1, 0.1, 0.9, 0.95, weightDecay: 0.5, 1e-8, gradientScale: 1);
        }
        plain.grad = ones_like(plain);
        optimizer.Update(0.1);
        Assert.True(allclose(fused, plain, rtol: 1e-5, atol: 1e-6));
    }

    [Fact]
    public void Matrices_decay_and_norms_do_not()
    {
        var matrix = Weight([1f, 1f, 1f, 1f], 2, 2);
        var norm = Weight([1f, 1f], 2);
        using var optimizer = new AdamW([("matrix", matrix), ("norm", norm)], new OptimizerSection { WeightDecay = 0.5 });
        Assert.Equal(["matrix"], optimizer.Decaying);
        matrix.grad = zeros(2, 2);
        norm.grad = zeros(2);
        optimizer.Update(0.1);
        Assert.Equal([0.95f, 0.95f, 0.95f, 0.95f], matrix.data<float>().ToArray());
        Assert.Equal([1f, 1f], norm.data<float>().ToArray());
    }

    [Fact]
    public void Of_a_language_model_every_weight_with_two_dimensions_decays()
    {
        using var model = new TrainServe.Model.Transformer(TinyModels.Config());
        var parameters = model.named_parameters().Select(parameter => (parameter.name, parameter.parameter)).ToList();
        using var optimizer = new AdamW(parameters, new OptimizerSection());
        Assert.Equal(parameters.Where(parameter => parameter.parameter.dim() == 2).Select(parameter => parameter.name), optimizer.Decaying);
        // Two layers of two norms, and the last norm.
        Assert.Equal(5, parameters.Count - optimizer.Decaying.Count());
    }

    [Fact]
    public void A_scaled_gradient_is_the_gradient_times_the_scale()
    {
        var one = Weight([1f, 2f], 1, 2);
        var other = Weight([1f, 2f], 1, 2);
        using var first = new AdamW([("w", one)], new OptimizerSection());
        using var second = new AdamW([("w", other)], new OptimizerSection());
        for (int step = 1; step <= 3; step++)
        {
            one.grad = tensor(new[] { 0.5f * step, -0.25f }, [1, 2]);
            other.grad = tensor(new[] { 1f * step, -0.5f }, [1, 2]);
            first.Update(0.1);
            second.Update(0.1, gradientScale: 0.5);
        }
        Assert.Equal(one.data<float>().ToArray(), other.data<float>().ToArray());
    }

    [Fact]
    public void A_restored_optimizer_goes_on_bit_for_bit()
    {
        using var directory = new TemporaryDirectory();
        var whole = Weight([1f, -2f, 3f], 1, 3);
        using var first = new AdamW([("w", whole)], new OptimizerSection());
        Steps(first, whole, 0, 5);
        SafeTensorsWriter.Write(directory.PathOf("o.safetensors"), first.Save());
        var resumed = Weight(whole.data<float>().ToArray(), 1, 3);
        using var second = new AdamW([("w", resumed)], new OptimizerSection());
        using (var file = SafeTensorsReader.Open(directory.PathOf("o.safetensors")))
        {
            second.Load(file, first.Updates);
        }
        Steps(first, whole, 5, 10);
        Steps(second, resumed, 5, 10);
        Assert.Equal(whole.data<float>().ToArray(), resumed.data<float>().ToArray());

        static void Steps(AdamW optimizer, Parameter weight, int from, int to)
        {
            for (int step = from; step < to; step++)
            {
                weight.grad = tensor(new[] { MathF.Sin(step), MathF.Cos(step), 0.1f }, [1, 3]);
                optimizer.Update(0.01);
            }
        }
    }

    [Fact]
    public void Moments_of_another_shape_are_refused_by_name()
    {
        using var directory = new TemporaryDirectory();
        using var small = new AdamW([("w", Weight([1f], 1, 1))], new OptimizerSection());
        SafeTensorsWriter.Write(directory.PathOf("o.safetensors"), small.Save());
        using var large = new AdamW([("w", Weight([1f, 2f], 1, 2))], new OptimizerSection());
        using var file = SafeTensorsReader.Open(directory.PathOf("o.safetensors"));
        Assert.Contains("m.w is missing or has another shape", Assert.Throws<InvalidDataException>(() => large.Load(file, 1)).Message, StringComparison.Ordinal);
    }

    private static Parameter Weight(float[] values, params long[] shape) => new(tensor(values, shape));

    private sealed class DisposeScopeHolder : IDisposable
    {
        private readonly TorchSharp.DisposeScope _scope = NewDisposeScope();

        public void Dispose() => _scope.Dispose();
    }
}
