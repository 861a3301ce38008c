using System.Runtime.InteropServices;
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

    [Fact]
    public void Young_objects_are_collected_every_4_megabytes()
    {
        Assert.Equal("4194304", AppContext.GetData("System.GC.Gen0MaxBudget"));
        int before = GC.CollectionCount(0);
        var kept = new byte[64][];
        for (int i = 0; i < 1 << 20; i++)
        {
            kept[i % 64] = new byte[232];
        }
        // 256 MB by 4 MB; a default budget would do with a fifth.
        Assert.InRange(GC.CollectionCount(0) - before, 40, 1000);
    }

    [Fact]
    public void Threads_that_wait_sleep()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "OpenMP's runtime for Windows does not read this.");
        Assert.SkipWhen(Environment.GetEnvironmentVariable("GOMP_SPINCOUNT") is not null || Environment.GetEnvironmentVariable("OMP_WAIT_POLICY") is not null, "The user chose.");
        TorchRuntime.Initialize(1);
        Assert.Equal("PASSIVE", Marshal.PtrToStringUTF8(GetEnvironmentVariable("OMP_WAIT_POLICY")));
    }

    [DllImport("libc", EntryPoint = "getenv")]
    private static extern nint GetEnvironmentVariable([MarshalAs(UnmanagedType.LPUTF8Str)] string name);
}
