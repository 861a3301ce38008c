namespace TrainServe.Model.Tests;

public sealed class KernelChoicesTests
{
    [Fact]
    public void Without_variables_the_processor_chooses() =>
        Assert.Equal("torch float32, libtorch as the processor allows", KernelChoices.Current(_ => null).ToString());

    [Fact]
    public void A_variable_that_narrows_the_instructions_is_named() =>
        Assert.Equal("torch float32, libtorch ATEN_CPU_CAPABILITY=avx2", KernelChoices.Current(name => name == "ATEN_CPU_CAPABILITY" ? "avx2" : "").ToString());
}
