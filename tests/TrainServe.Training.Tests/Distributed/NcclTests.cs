using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using TrainServe.TestSupport;

namespace TrainServe.Training.Tests.Distributed;

/// <summary>Gradients added by NCCL's interface, in real processes. A library made of a page of C stands for NCCL and for CUDA's driver, in the processor's memory.</summary>
public sealed class NcclTests : IDisposable
{
    private readonly TemporaryDirectory _files = new();

    public NcclTests() => Assert.SkipUnless(OperatingSystem.IsLinux() && ConsoleHost.HasMpi, "mpirun is not installed (on Debian: openmpi-bin).");

    public void Dispose() => _files.Dispose();

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    public async Task The_id_of_the_first_process_reaches_all_and_sums_come_out_right_wherever_gradients_lie(int processes)
    {
        var ranks = await RunAsync(processes, "sums", Compile());
        Assert.Equal("Gradients are added on the GPUs by NCCL 2.27.3.", ranks[0].GetProperty("note").GetString());
        // 1 + 2 + .. of every gradient, of which the second time all processes have the sum already.
        float times = processes * (processes + 1) / 2 * processes;
        foreach (var rank in ranks)
        {
            float[][] found = Found(rank);
            Assert.Equal(Enumerable.Range(0, 200_000).Select(i => i * times), found[0]);
            Assert.Equal(Enumerable.Repeat(0.5f * times, 3), found[1]);
            Assert.All(found[2].Index(), value => Assert.Equal(value.Index * times, value.Item, value.Index * times / 128));
            // These two go through the processor's memory: one is not contiguous, the other of a type of which NCCL is not asked.
            Assert.Equal(Enumerable.Range(0, 200).SelectMany(column => Enumerable.Range(0, 150).Select(row => (row * 200 + column) * times)), found[3]);
            Assert.Equal(Enumerable.Repeat(times, 5), found[4]);
        }
    }

    [Fact]
    public async Task Training_steps_give_the_weights_that_they_give_by_MPI()
    {
        string library = Compile();
        var byNccl = (await RunAsync(2, "train", library)).Select(Found).ToArray();
        var byMpi = Found((await RunAsync(2, "train", "-"))[0]);
        Assert.Equal(byNccl[0], byNccl[1]);
        Assert.Equal(byMpi.Length, byNccl[0].Length);
        // Of two numbers there is but one sum.
        Assert.Equal(byMpi, byNccl[0]);
    }

    [Theory]
    [InlineData("ncclCommInitRank:1", "NCCL failed in process 1: ncclCommInitRank gave error 2, unhandled system error (the stand-in was told to fail).")]
    [InlineData("ncclAllReduce:7", "NCCL failed in process 1: ncclAllReduce gave error 2, unhandled system error (the stand-in was told to fail).")]
    [InlineData("ncclCommGetAsyncError:2", "NCCL failed in process 1: an all-reduce gave error 6, remote process exited or there was a network error (the stand-in was told to fail).")]
    [InlineData("cuEventRecord:3", "CUDA failed: cuEventRecord gave error 700, an illegal memory access was encountered.")]
    public async Task An_error_code_ends_the_job_with_a_sentence(string failure, string sentence)
    {
        var clock = Stopwatch.StartNew();
        var result = await ConsoleHost.RunRanksAsync(2, ["train", Compile(), _files.FullName], ("STANDIN_FAIL", failure));
        Assert.Equal(1, result.ExitCode);
        string error = Report(1).GetProperty("error").GetString()!;
        Assert.StartsWith(sentence + " The checkpoints are as they were.", error);
        // Nobody is waited for: mpirun ends the other process.
        Assert.InRange(clock.Elapsed, TimeSpan.Zero, TimeSpan.FromSeconds(60));
        Assert.False(File.Exists(_files.PathOf("rank-0.json")));
    }

    [Fact]
    public async Task Without_the_library_gradients_go_through_the_processors_memory_and_a_line_says_so()
    {
        string missing = _files.PathOf("libnccl.so.2");
        var ranks = await RunAsync(2, "sums", missing);
        Assert.All(ranks, rank => Assert.Equal(
            $"Warning: process 0 of 2 says that NCCL cannot be loaded ({missing}; install it, on Debian libnccl2, or give its path in TRAINSERVE_NCCL); gradients are added through the processor's memory, which is slower.",
            rank.GetProperty("note").GetString()));
        Assert.All(ranks, rank => Assert.Equal(Enumerable.Range(0, 200_000).Select(i => i * 6f), Found(rank)[0]));
    }

    [Fact]
    public async Task A_library_that_is_not_NCCL_counts_as_none()
    {
        var ranks = await RunAsync(2, "sums", "libc.so.6");
        Assert.StartsWith("Warning: process 0 of 2 says that NCCL cannot be loaded (libc.so.6; ", ranks[1].GetProperty("note").GetString());
    }

    [Fact]
    public async Task Processes_that_share_a_GPU_are_told_so_before_anything_is_done()
    {
        var ranks = await RunAsync(3, "sums", Compile(), ("STANDIN_SHARED_GPU", "1"));
        Assert.All(ranks, rank => Assert.Equal(
            "Warning: processes 0 and 1 have the same GPU, which NCCL refuses (start one process a GPU, and let --device be cuda without a number); gradients are added through the processor's memory, which is slower.",
            rank.GetProperty("note").GetString()));
        Assert.All(ranks, rank => Assert.Equal(Enumerable.Range(0, 200_000).Select(i => i * 18f), Found(rank)[0]));
    }

    private async Task<JsonElement[]> RunAsync(int processes, string mode, string library, params (string Name, string Value)[] environment)
    {
        var result = await ConsoleHost.RunRanksAsync(processes, [mode, library, _files.FullName], environment);
        Assert.True(result.ExitCode == 0, result.Output + result.Error);
        return [.. Enumerable.Range(0, processes).Select(Report)];
    }

    private JsonElement Report(int rank) => JsonDocument.Parse(File.ReadAllText(_files.PathOf(string.Create(CultureInfo.InvariantCulture, $"rank-{rank}.json")))).RootElement;

    private static float[][] Found(JsonElement rank) => rank.GetProperty("found").Deserialize<float[][]>()!;

    private string Compile()
    {
        string library = _files.PathOf("standin.so");
        try
        {
            using var compiler = Process.Start(new ProcessStartInfo("gcc", ["-shared", "-fPIC", "-O1", "-pthread", "-o", library, RepositoryRoot.PathOf("tests/TrainServe.Ranks/standin.c"), "-lrt"]) { RedirectStandardError = true, UseShellExecute = false })!;
            string error = compiler.StandardError.ReadToEnd();
            compiler.WaitForExit();
            Assert.True(compiler.ExitCode == 0, error);
        }
        catch (System.ComponentModel.Win32Exception)
        {
            Assert.Skip("gcc, which makes the library that stands for NCCL, is not installed (on Debian: gcc libc6-dev).");
        }
        return library;
    }
}
