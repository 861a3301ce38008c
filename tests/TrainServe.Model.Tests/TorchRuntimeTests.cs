using TorchSharp;

namespace TrainServe.Model.Tests;

public sealed class TorchRuntimeTests
{
    [Fact]
    public void Libtorch_loads_on_this_machine()
    {
        TorchRuntime.Initialize(1);
        using var scope = torch.NewDisposeScope();
        Assert.Equal(6f, torch.tensor(new[] { 1f, 2f, 3f }).sum().item<float>());
        Assert.Equal(1, TorchRuntime.Threads);
    }

    [Fact]
    public void A_negative_number_of_threads_is_refused() =>
        Assert.Throws<ArgumentOutOfRangeException>(() => TorchRuntime.Initialize(-1));
}
