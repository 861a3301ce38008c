using System.Text.Json;
using TrainServe.Core;
using TrainServe.TestSupport;

namespace TrainServe.Cli.Tests;

public sealed class AlignmentTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public AlignmentTests()
    {
        var config = TinyModels.Config(TinyPackages.VocabSize);
        TinyPackages.Write(_directory.PathOf("policy"), config);
        TinyPackages.Write(_directory.PathOf("other"), config, seed: 2);
        TinyPackages.Write(_directory.PathOf("reward"), config with { Architectures = [ModelConfig.RewardModel], NumLabels = 1 }, seed: 3);
        File.WriteAllLines(_directory.PathOf("pairs.jsonl"), Enumerable.Range(0, 20).Select(i => $$"""{"prompt":"Q{{i}}","chosen":"yes","rejected":"no"}"""));
    }

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task A_win_rate_goes_to_the_screen_the_file_and_the_manifest()
    {
        var result = await ConsoleHost.RunAsync("evaluate", "--model", _directory.PathOf("policy"), "--against", _directory.PathOf("other"), "--reward", _directory.PathOf("reward"),
            "--tasks", "win:pairs", "--data", _directory.FullName, "--max-tokens", "4", "--json", _directory.PathOf("result.json"));
        Assert.True(result.ExitCode == 0, result.Error);
        Assert.Contains("win:pairs: 20 win  win_rate 0.", result.Output, StringComparison.Ordinal);
        using var report = JsonDocument.Parse(await File.ReadAllTextAsync(_directory.PathOf("result.json")));
        using var manifest = JsonDocument.Parse(await File.ReadAllTextAsync(_directory.PathOf("policy", "manifest.json")));
        Assert.Equal(
            report.RootElement.GetProperty("tasks").GetProperty("win:pairs").GetProperty("metrics").GetProperty("win_rate").GetDouble(),
            manifest.RootElement.GetProperty("evaluations").GetProperty("win:pairs").GetProperty("metrics").GetProperty("win_rate").GetDouble());
    }

    [Fact]
    public async Task A_reward_model_is_measured_on_pairs_and_a_language_model_refused()
    {
        var result = await ConsoleHost.RunAsync("evaluate", "--model", _directory.PathOf("reward"), "--tasks", _directory.PathOf("pairs.jsonl"));
        Assert.True(result.ExitCode == 0, result.Error);
        Assert.Contains("pairs: 20 preference  accuracy ", result.Output, StringComparison.Ordinal);
        var refused = await ConsoleHost.RunAsync("evaluate", "--model", _directory.PathOf("policy"), "--tasks", "preference:" + _directory.PathOf("pairs.jsonl"));
        Assert.Equal(2, refused.ExitCode);
        Assert.Contains("is no reward model: it has no score", refused.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_best_of_several_answers_is_written_for_each_prompt()
    {
        string output = _directory.PathOf("best.jsonl");
        var result = await ConsoleHost.RunAsync("best-of", "--model", _directory.PathOf("policy"), "--reward", _directory.PathOf("reward"), "--data", _directory.PathOf("pairs.jsonl"),
            "--n", "3", "--max-tokens", "4", "--limit", "5", "--output", output);
        Assert.True(result.ExitCode == 0, result.Error);
        Assert.All(File.ReadLines(output), line =>
        {
            using var record = JsonDocument.Parse(line);
            Assert.True(record.RootElement.GetProperty("score").GetDouble() >= record.RootElement.GetProperty("mean_score").GetDouble());
        });
        Assert.Equal(5, File.ReadLines(output).Count());
    }

    [Fact]
    public async Task Text_that_begins_with_a_held_out_prompt_is_left_out()
    {
        string text = _directory.WriteText("text.txt", string.Concat(Enumerable.Range(0, 20).Select(i => $"Q{i} and more.\n<|endoftext|>\n"))), output = _directory.PathOf("clean.txt");
        var result = await ConsoleHost.RunAsync("data", "exclude", "--input", text, "--pairs", _directory.PathOf("pairs.jsonl"), "--validation-fraction", "0.4", "--output", output);
        Assert.True(result.ExitCode == 0, result.Error);
        int kept = File.ReadLines(output).Count(line => line.StartsWith('Q'));
        Assert.InRange(kept, 1, 19);
        Assert.Contains($"{kept} documents are kept, {20 - kept} begin with one of ", result.Output, StringComparison.Ordinal);
    }
}
