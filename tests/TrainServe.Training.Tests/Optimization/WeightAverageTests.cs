using TrainServe.Core.Packaging;
using TrainServe.TestSupport;
using TrainServe.Training.Optimization;
using static TorchSharp.torch;
using Parameter = TorchSharp.Modules.Parameter;
using TrainServe.Model;

namespace TrainServe.Training.Tests.Optimization;

public sealed class WeightAverageTests
{
    [Fact]
    public void It_is_the_moving_average_computed_by_hand_and_survives_a_checkpoint()
    {
        using var scope = NewDisposeScope();
        using var directory = new TemporaryDirectory();
        var weight = new Parameter(tensor(new[] { 1f }));
        using var average = new WeightAverage([("w", weight)], decay: 0.5);
        Set(weight, 3);
        // After one update 2 / 11 stays: 1 * 2 / 11 + 3 * 9 / 11.
        average.Update(updates: 1);
        Assert.Equal(29f / 11, Averaged(average, weight), 1e-6f);
        Set(weight, 5);
        // After many the decay: half and half.
        average.Update(updates: 100);
        float expected = (29f / 11 + 5) / 2;
        Assert.Equal(expected, Averaged(average, weight), 1e-6f);
        Assert.Equal(5, weight.item<float>());

        SafeTensorsWriter.Write(directory.PathOf("a.safetensors"), average.Save());
        using var other = new WeightAverage([("w", weight)], decay: 0.5);
        using var file = SafeTensorsReader.Open(directory.PathOf("a.safetensors"));
        other.Load(file);
        Assert.Equal(expected, Averaged(other, weight), 1e-6f);
        using var unknown = new WeightAverage([("x", weight)], decay: 0.5);
        Assert.Contains("average.x is missing", Assert.Throws<InvalidDataException>(() => unknown.Load(file)).Message, StringComparison.Ordinal);
    }

    private static void Set(Parameter weight, float value)
    {
        using var noGradient = no_grad();
        weight.fill_(LiveScalar.Of(value));
    }

    private static float Averaged(WeightAverage average, Parameter weight)
    {
        average.Swap();
        float value = weight.item<float>();
        average.Swap();
        return value;
    }
}
