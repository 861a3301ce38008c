using TrainServe.TestSupport;

namespace TrainServe.EndToEnd.Tests.Deployment;

/// <summary>Training on several nodes, with network namespaces as the nodes.</summary>
[Trait("Category", "Slow")]
public sealed class TwoHostsTests
{
    [Fact]
    public async Task Two_hosts_with_a_cable_between_them_train_what_one_process_trains()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && Environment.IsPrivilegedProcess, "network namespaces need root on Linux");
        Assert.SkipWhen(Programs.Find("mpirun") is null || Programs.Find("ip") is null, "mpirun or ip is not installed (on Debian: openmpi-bin, iproute2)");
        var (code, output) = await Programs.RunAsync(RepositoryRoot.PathOf("deploy/mpi/two-hosts.sh"), "20");
        // The script itself compares the losses step by step, and looks at how many bytes the cable carried.
        Assert.True(code == 0, output);
        Assert.Contains("step 20: loss ", output, StringComparison.Ordinal);
    }
}
