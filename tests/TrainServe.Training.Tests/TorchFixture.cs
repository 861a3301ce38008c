using System.Runtime.CompilerServices;
using TrainServe.Model;

namespace TrainServe.Training.Tests;

/// <summary>libtorch is loaded once, on one thread: tests run beside each other, and a sum's last bits depend on the number of threads.</summary>
internal static class TorchFixture
{
    /// <summary>Collection of the tests that train: libtorch has one random generator, and no other thread may collect garbage while TorchSharp hands it a number.</summary>
    public const string Generator = "libtorch's generator";

    [ModuleInitializer]
    public static void Start() => TorchRuntime.Initialize(threads: 1);
}

[CollectionDefinition(TorchFixture.Generator, DisableParallelization = true)]
public sealed class GeneratorCollection;
