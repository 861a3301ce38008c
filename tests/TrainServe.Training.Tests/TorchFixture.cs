using System.Runtime.CompilerServices;
using TrainServe.Model;

namespace TrainServe.Training.Tests;

/// <summary>libtorch is loaded once, on one thread: tests run beside each other, and a sum's last bits depend on the number of threads.</summary>
internal static class TorchFixture
{
    [ModuleInitializer]
    public static void Start() => TorchRuntime.Initialize(threads: 1);
}
