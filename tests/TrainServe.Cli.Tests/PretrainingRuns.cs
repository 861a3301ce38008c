using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using TrainServe.Core.Packaging;
using TrainServe.TestSupport;

namespace TrainServe.Cli.Tests;

/// <summary>Runs of <c>trainserve pretrain</c> as processes, on a model that takes milliseconds a step.</summary>
public abstract class PretrainingRuns : IDisposable
{
    // Saved after every step, so that a kill at a random moment often meets a save.
    private const string Recipe = """
        seed: 1
        tokenizer: { vocab_size: 264 }
        model: { hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2, num_attention_heads: 2 }
        data: { sequence_length: 16, validation_rule: tail }
        training: { steps: 60, batch_rows: 4, micro_batch_rows: 2, dropout: 0.1 }
        validation: { every_steps: 7 }
        checkpoint: { every_steps: 1 }
        """;

    protected PretrainingRuns()
    {
        RecipePath = Files.WriteText("toy.yaml", Recipe);
        TextPath = Files.WriteText("text.txt", string.Concat(Enumerable.Range(0, 300).Select(i => string.Create(CultureInfo.InvariantCulture, $"Once upon a time {i} cats sat on a mat. "))));
    }

    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Recipe, text and the runs' directories.</summary>
    protected TemporaryDirectory Files { get; } = new();
    protected string RecipePath { get; }
    protected string TextPath { get; }

    protected virtual void Dispose(bool disposing) => Files.Dispose();

    protected Task<ConsoleResult> PretrainAsync(string output, params string[] more) => ConsoleHost.RunAsync(Arguments(output, more));

    protected Process StartPretraining(string output, params string[] more) => ConsoleHost.Start(Arguments(output, more));

    protected string[] Arguments(string output, string[] more) => ["pretrain", "--recipe", RecipePath, "--data", TextPath, "--output", Files.PathOf(output), "--threads", "1", .. more];

    protected async Task WaitForStepAsync(string output, int step, Process? process = null)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromMinutes(2));
        while (LastStep(output) < step && process is not { HasExited: true })
        {
            Assert.False(limit.IsCancellationRequested, $"Step {step} did not come within two minutes.");
            await Task.Delay(2, CancellationToken.None);
        }
    }

    protected int LastStep(string output)
    {
        string path = Files.PathOf(output, "metrics.jsonl");
        return !File.Exists(path) ? 0 : ReadLines(path).Where(line => line.StartsWith("{\"event\":\"train\"", StringComparison.Ordinal) && line.EndsWith('}'))
            .Select(line => JsonDocument.Parse(line).RootElement.GetProperty("step").GetInt32()).LastOrDefault();
    }

    protected int LastCheckpoint(string output) => !Directory.Exists(Files.PathOf(output, "checkpoints")) ? 0 : Directory.GetDirectories(Files.PathOf(output, "checkpoints"), "step-*")
        .Select(path => int.TryParse(Path.GetFileName(path)[5..], CultureInfo.InvariantCulture, out int step) ? step : 0).DefaultIfEmpty().Max();

    protected List<string> Losses(string output) => [.. ReadLines(Files.PathOf(output, "metrics.jsonl")).Select(line => JsonDocument.Parse(line).RootElement)
        .Select(line => $"{line.GetProperty("event").GetString()} {line.GetProperty("step").GetInt64()} {line.GetProperty("loss").GetRawText()}")];

    private static string[] ReadLines(string path)
    {
        using var reader = new StreamReader(new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete));
        return reader.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries);
    }

    protected static void Signal(Process process, string name)
    {
        using var kill = Process.Start("kill", [$"-{name}", process.Id.ToString(CultureInfo.InvariantCulture)]);
        kill.WaitForExit();
    }

    /// <summary>The processes of a job that mpirun started.</summary>
    protected static int[] Children(Process job)
    {
        using var list = Process.Start(new ProcessStartInfo("pgrep", ["-P", job.Id.ToString(CultureInfo.InvariantCulture), "dotnet"]) { RedirectStandardOutput = true, UseShellExecute = false })!;
        // In the order of their numbers, as mpirun starts them.
        return [.. list.StandardOutput.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => int.Parse(line, CultureInfo.InvariantCulture)).Order()];
    }

    protected static void Kill(int process)
    {
        using var victim = Process.GetProcessById(process);
        victim.Kill();
    }

    protected Dictionary<string, float[]> Weights(string output)
    {
        using var reader = SafeTensorsReader.Open(Files.PathOf(output, "model.safetensors"));
        return reader.Entries.Keys.ToDictionary(name => name, reader.ReadSingles);
    }

    protected void AssertClose(string one, string other)
    {
        var (first, second) = (Weights(one), Weights(other));
        Assert.NotEmpty(first);
        foreach (var (name, values) in first)
        {
            Assert.All(values.Zip(second[name]), pair => Assert.Equal(pair.First, pair.Second, 1e-6f));
        }
    }

    protected double[] LossValues(string output) => [.. File.ReadLines(Files.PathOf(output, "metrics.jsonl")).Select(line => JsonDocument.Parse(line).RootElement.GetProperty("loss").GetDouble())];
}
