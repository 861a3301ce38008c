using TrainServe.TestSupport;
using TrainServe.Training.Optimization;
using TrainServe.Training.Recipes;
using static TorchSharp.torch;
using AdamW = TrainServe.Training.Optimization.AdamW;
using Parameter = TorchSharp.Modules.Parameter;
using TrainServe.Model;

namespace TrainServe.Training.Tests.Optimization;

public sealed class MuonTests
{
    [Theory]
    [InlineData(24, 40)]
    [InlineData(40, 24)]
    public void The_update_has_singular_values_near_one_and_the_gradients_directions(int rows, int columns)
    {
        using var scope = NewDisposeScope();
        var (u, _, v) = linalg.svd(randn(rows, columns), fullMatrices: false);
        var wanted = mm(u, v);
        var gradient = mm(u * linspace(0.2, 3, 24), v);
        var orthogonal = Muon.Orthogonalized(gradient);
        var values = linalg.svdvals(orthogonal);
        Assert.InRange(values.min().item<float>(), 0.6f, 1.3f);
        Assert.InRange(values.max().item<float>(), 0.6f, 1.3f);
        Assert.InRange(((orthogonal * wanted).sum() / (orthogonal.norm() * wanted.norm())).item<float>(), 0.97f, 1.001f);
    }

    [Fact]
    public void Fused_matrices_are_updated_as_if_they_were_apart_and_the_step_is_of_AdamWs_size()
    {
        using var scope = NewDisposeScope();
        var settings = new OptimizerSection { Kind = OptimizerKind.Muon, WeightDecay = 0, MuonMomentum = 0.9 };
        Tensor firstGradient = randn(16, 32), secondGradient = randn(48, 32);
        Parameter fused = new(zeros(64, 32)), first = new(zeros(16, 32)), second = new(zeros(48, 32)), table = new(zeros(8, 32));
        using var together = new AdamW([("fused", fused), ("table", table)], settings, name => name == "fused" ? [16, 48] : null);
        using var apart = new AdamW([("first", first), ("second", second)], settings, name => name == "first" ? [16] : [48]);
        for (int step = 0; step < 3; step++)
        {
            fused.grad = cat([firstGradient, secondGradient]);
            table.grad = ones(8, 32);
            (first.grad, second.grad) = (firstGradient, secondGradient);
            together.Update(0.01);
            apart.Update(0.01);
        }
        Assert.True(allclose(fused, cat([first, second]), rtol: 1e-3, atol: 1e-4));
        // Three steps in one direction; the root of the mean square of each is 0.2 times the rate, whatever the gradient's size.
        Assert.InRange(second.Squared().mean().sqrt().item<float>() / 0.03, 0.13, 0.27);
        Assert.Equal(-0.03f, table[0, 0].item<float>(), 1e-5f);
        // Muon keeps one moment.
        Assert.Equal(["m.fused", "m.table", "v.table"], together.Save().Select(tensor => tensor.Name));
    }

    [Fact]
    public void Only_the_blocks_matrices_are_Muons()
    {
        using var model = new Model.Transformer(TinyModels.Config());
        var muons = model.named_parameters().Where(parameter => model.MatrixParts(parameter.name) is not null).ToList();
        Assert.Equal(8, muons.Count);
        Assert.All(muons, parameter => Assert.Equal(parameter.parameter.shape[0], model.MatrixParts(parameter.name)!.Sum()));
        Assert.Null(model.MatrixParts("embedding.weight"));
        Assert.Null(model.MatrixParts("head"));
        Assert.Throws<ArgumentNullException>(() => new AdamW([], new OptimizerSection { Kind = OptimizerKind.Muon }));
    }
}
