using TorchSharp;

namespace TrainServe.Model.Tests;

public sealed class TorchDevicesTests
{
    [Theory]
    [InlineData("auto")]
    [InlineData("cpu")]
    public void Without_a_GPU_the_processor_is_taken(string name)
    {
        Assert.SkipWhen(torch.cuda.is_available(), "There is a GPU here.");
        Assert.Equal(DeviceType.CPU, TorchDevices.Open(name).type);
    }

    [Theory]
    [InlineData("cuda")]
    [InlineData("cuda:1")]
    public void A_GPU_that_is_not_there_is_refused_with_what_to_do(string name)
    {
        Assert.SkipWhen(torch.cuda.is_available(), "There is a GPU here.");
        string message = Assert.Throws<InvalidDataException>(() => TorchDevices.Open(name)).Message;
        Assert.Matches($"^--device {name}: (this build computes on the processor; build it with -p:Accelerator=cuda|no NVIDIA GPU is to be seen here; nvidia-smi says why).*, or leave --device out\\.$", message);
    }

    [Theory]
    [InlineData("gpu")]
    [InlineData("cuda:")]
    [InlineData("cuda:-1")]
    [InlineData("cpu:0")]
    [InlineData("")]
    public void Another_word_is_refused_with_those_there_are(string name) =>
        Assert.StartsWith($"--device is {name}; it must be auto, cpu, cuda or cuda:N.", Assert.Throws<ArgumentException>(() => TorchDevices.Open(name)).Message, StringComparison.Ordinal);

    [Fact]
    public void Tf32_is_refused_on_the_processor()
    {
        using var model = RandomModels.Create(TestSupport.TinyModels.Config());
        Assert.Equal("training.precision is tf32, which only a GPU has; set it to auto or float32, or give --device cuda.", Assert.Throws<InvalidDataException>(() => TrainingKernels.Choose(TrainingPrecision.Tf32, model)).Message);
    }
}
