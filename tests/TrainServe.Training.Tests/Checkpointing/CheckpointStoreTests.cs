using TrainServe.Core.Packaging;
using TrainServe.TestSupport;
using TrainServe.Training.Checkpointing;

namespace TrainServe.Training.Tests.Checkpointing;

public sealed class CheckpointStoreTests : IDisposable
{
    private static readonly RunIdentity Identity = new("pretrain", new Dictionary<string, string> { ["seed"] = "1" }, "abc", new Dictionary<string, string> { ["text"] = "d" }, null);
    private static readonly TrainingEnvironment Here = new("build", "2.10", 2, "x64 avx2", "torch");
    private readonly TemporaryDirectory _directory = new();
    private readonly List<string> _log = [];
    private readonly CheckpointStore _store;

    public CheckpointStoreTests() => _store = new CheckpointStore(_directory.PathOf("checkpoints"));

    public void Dispose() => _directory.Dispose();

    [Fact]
    public void What_was_saved_is_read_again()
    {
        Save(7);
        var checkpoint = _store.LatestGood(_log.Add)!;
        Assert.Equal(7, checkpoint.Step);
        Assert.Equal(new State(7, "seven"), checkpoint.ReadState<State>());
        Assert.Null(checkpoint.Manifest.Identity.Difference(Identity));
        Assert.Equal(Here, checkpoint.Manifest.Environment);
        using var weights = checkpoint.OpenTensors("model.safetensors");
        Assert.Equal([7, 8, 9], weights.ReadSingles("a"));
        Assert.Equal("step-00000007\n", File.ReadAllText(_directory.PathOf("checkpoints", "latest")));
        Assert.Empty(_log);
    }

    [Fact]
    public void The_newest_by_number_is_taken_whatever_the_files_times()
    {
        Save(9);
        Save(100);
        Save(20);
        Directory.SetLastWriteTimeUtc(_store.DirectoryOf(9), DateTime.UtcNow.AddDays(1));
        Assert.Equal([100, 20, 9], _store.Steps);
        Assert.Equal(100, _store.LatestGood(_log.Add)!.Step);
    }

    [Fact]
    public void Every_changed_byte_is_found_the_file_and_tensor_named_and_the_one_before_used()
    {
        Save(1);
        Save(2);
        foreach (string file in Directory.GetFiles(_store.DirectoryOf(2)))
        {
            var good = File.ReadAllBytes(file);
            for (int position = 0; position < good.Length; position += Math.Max(1, good.Length / 23))
            {
                var bad = good.ToArray();
                bad[position] ^= 0x04;
                File.WriteAllBytes(file, bad);
                _log.Clear();
                var checkpoint = _store.LatestGood(_log.Add)!;
                // A flipped bit of the manifest can leave it true, as in the name of the build.
                if (Path.GetFileName(file) != "manifest.json")
                {
                    Assert.Equal(1, checkpoint.Step);
                    Assert.Contains(Path.GetFileName(file), Assert.Single(_log), StringComparison.Ordinal);
                }
            }
            File.WriteAllBytes(file, good);
        }
        var weights = File.ReadAllBytes(Path.Combine(_store.DirectoryOf(2), "model.safetensors"));
        weights[^1] ^= 1;
        File.WriteAllBytes(Path.Combine(_store.DirectoryOf(2), "model.safetensors"), weights);
        _log.Clear();
        _store.LatestGood(_log.Add);
        Assert.Contains("in its tensor b", Assert.Single(_log), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("manifest.json", "was not completed")]
    [InlineData("model.safetensors", "is missing")]
    [InlineData("state.json", "is missing")]
    public void A_missing_file_makes_it_no_checkpoint(string file, string reason)
    {
        Save(1);
        Save(2);
        File.Delete(Path.Combine(_store.DirectoryOf(2), file));
        Assert.Equal(1, _store.LatestGood(_log.Add)!.Step);
        Assert.Contains(reason, Assert.Single(_log), StringComparison.Ordinal);
    }

    [Fact]
    public void Without_a_good_one_there_is_none()
    {
        Assert.Null(_store.LatestGood(_log.Add));
        Save(1);
        File.WriteAllText(Path.Combine(_store.DirectoryOf(1), "manifest.json"), "{");
        Assert.Null(_store.LatestGood(_log.Add));
        Assert.Single(_log);
    }

    [Fact]
    public void A_save_that_fails_leaves_the_older_ones_and_says_what_to_do()
    {
        Save(1);
        var broken = new SafeTensor("a", SafeTensorType.F32, [1], _ => throw new IOException("No space left on device."));
        var error = Assert.Throws<IOException>(() => _store.Save(2, Identity, Here, new Dictionary<string, IReadOnlyList<SafeTensor>> { ["model.safetensors"] = [broken] }, new State(2, "")));
        Assert.Equal($"The checkpoint of step 2 could not be written: No space left on device; the last one is {_store.DirectoryOf(1)}. Make room or mend the disk, then go on with --resume.", error.Message);
        Assert.Equal([1], _store.Steps);
        Assert.Equal(1, _store.LatestGood(_log.Add)!.Step);
        Assert.Equal(2, Directory.GetFileSystemEntries(_directory.PathOf("checkpoints")).Length);
    }

    [Fact]
    public void What_an_unfinished_save_left_is_no_checkpoint_and_is_removed()
    {
        Save(1);
        Directory.CreateDirectory(_store.DirectoryOf(2) + ".tmp");
        File.WriteAllText(Path.Combine(_store.DirectoryOf(2) + ".tmp", "model.safetensors.tmp"), "half");
        Assert.Equal([1], _store.Steps);
        _store.RemoveUnfinished();
        Assert.False(Directory.Exists(_store.DirectoryOf(2) + ".tmp"));
    }

    [Fact]
    public void Saving_a_step_again_replaces_it()
    {
        Save(1);
        File.WriteAllText(Path.Combine(_store.DirectoryOf(1), "state.json"), "damaged");
        Save(1);
        Assert.Equal(1, _store.LatestGood(_log.Add)!.Step);
        Assert.Empty(_log);
        Assert.Equal(["latest", "step-00000001"], Directory.GetFileSystemEntries(_directory.PathOf("checkpoints")).Select(path => Path.GetFileName(path)).Order());
    }

    [Fact]
    public void Only_the_named_ones_are_kept()
    {
        foreach (long step in (long[])[1, 2, 3, 4])
        {
            Save(step);
        }
        _store.RemoveExcept(new HashSet<long> { 2, 4 });
        Assert.Equal([4, 2], _store.Steps);
    }

    [Fact]
    public void A_directory_that_was_made_for_a_run_of_which_nothing_came_is_taken_away_again()
    {
        string empty = Path.Combine(_directory.FullName, "empty"), full = Path.Combine(_directory.FullName, "full");
        RunLock.Take(empty).Dispose();
        using (RunLock.Take(full))
        {
            File.WriteAllText(Path.Combine(full, "checkpoint"), "");
        }
        RunLock.Take(full).Dispose();
        Assert.False(Directory.Exists(empty));
        Assert.True(RunLock.Exists(full));
    }

    [Fact]
    public void A_second_trainer_is_refused_until_the_first_is_gone()
    {
        using (RunLock.Take(_directory.FullName))
        {
            var error = Assert.Throws<IOException>(() => RunLock.Take(_directory.FullName));
            Assert.Equal($"Another process (number {Environment.ProcessId}) trains in {_directory.FullName}; wait for it, stop it, or choose another output directory.", error.Message);
        }
        RunLock.Take(_directory.FullName).Dispose();
    }

    [Fact]
    public void A_full_disk_is_not_taken_for_another_trainer()
    {
        Assert.SkipUnless(File.Exists("/dev/full"), "This test needs Linux's /dev/full, a file on which every write finds the disk full.");
        File.CreateSymbolicLink(_directory.PathOf("run.pid"), "/dev/full");
        Assert.Contains("No space left on device", Assert.Throws<IOException>(() => RunLock.Take(_directory.FullName)).Message, StringComparison.Ordinal);
        File.Delete(_directory.PathOf("run.pid"));
        RunLock.Take(_directory.FullName).Dispose();
    }

    [Fact]
    public void Differences_of_identity_and_environment_are_named()
    {
        Assert.Equal("the recipe's seed was 1 and is now 2", Identity.Difference(Identity with { Recipe = new Dictionary<string, string> { ["seed"] = "2" } }));
        Assert.Equal("the tokenizer's hash was abc and is now x", Identity.Difference(Identity with { TokenizerSha256 = "x" }));
        Assert.Equal("the content of the data source text was d and is now not set", Identity.Difference(Identity with { Data = new Dictionary<string, string>() }));
        Assert.Equal("the number of threads was 2 and is 4", Here.Difference(Here with { Threads = 4 }));
        Assert.Null(Here.Difference(Here with { }));
    }

    private void Save(long step) => _store.Save(step, Identity, Here, new Dictionary<string, IReadOnlyList<SafeTensor>>
    {
        ["model.safetensors"] = [SafeTensor.Singles("a", [3], new float[] { step, step + 1, step + 2 }), SafeTensor.Singles("b", [40], new float[40])],
    }, new State(step, "seven"));

    private sealed record State(long Number, string Name);
}
