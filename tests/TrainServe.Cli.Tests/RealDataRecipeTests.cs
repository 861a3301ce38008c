using TrainServe.TestSupport;

namespace TrainServe.Cli.Tests;

/// <summary>The recipes for real data, planned (not run) with the data that they are for.</summary>
public sealed class RealDataRecipeTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    // A tokenizer of bytes is given, because training one on a whole corpus takes longer than the plan.
    [Theory]
    [InlineData("childrens-books", "pretrain/childrens-books.jsonl.gz", "6,000")]
    [InlineData("wikitext", "pretrain/wikitext-2.valid.txt.gz", "2,000")]
    [Trait("Category", "Slow")]
    public Task Pretraining_is_planned(string recipe, string data, string steps) => PretrainingAsync(recipe, data, steps);

    [Fact]
    [Trait("Category", "Slow")]
    public Task Pretraining_on_novels_is_planned() => PretrainingAsync("english-novels", "pretrain/english-novels.jsonl.gz", "8,000");

    [Theory]
    [InlineData("sft", "hh-sft", "prefs/hh-rlhf/helpful-base.jsonl.gz")]
    [InlineData("reward", "hh-reward", "prefs/hh-rlhf/helpful-base.jsonl.gz")]
    [InlineData("dpo", "hh-dpo", "prefs/hh-rlhf/helpful-base.jsonl.gz")]
    [InlineData("sft", "gsm8k-sft", "grpo/gsm8k.train.jsonl.gz")]
    [InlineData("grpo", "gsm8k-grpo", "grpo/gsm8k.train.jsonl.gz")]
    [Trait("Category", "Slow")]
    public async Task Alignment_is_planned(string verb, string recipe, string data)
    {
        string path = SharedData.File(data), model = _directory.PathOf("model");
        TinyPackages.Write(model, TinyModels.Config(TinyPackages.VocabSize) with { MaxPositionEmbeddings = 1024 });
        var result = await ConsoleHost.RunAsync(verb, "--recipe", Recipe(recipe), "--model", model, "--data", path, "--output", _directory.PathOf("out"), "--dry-run");
        Assert.True(result.ExitCode == 0, result.Error);
        Assert.Contains("memory: about", result.Output);
        Assert.False(Directory.Exists(_directory.PathOf("out")));
    }

    private async Task PretrainingAsync(string recipe, string data, string steps)
    {
        string path = SharedData.File(data);
        TinyPackages.Write(_directory.PathOf("bytes"));
        var result = await ConsoleHost.RunAsync("pretrain", "--recipe", Recipe(recipe), "--tokenizer", _directory.PathOf("bytes"), "--data", path, "--output", _directory.PathOf("out"), "--dry-run");
        Assert.True(result.ExitCode == 0, result.Error);
        Assert.Contains($"steps: {steps} of", result.Output);
    }

    private static string Recipe(string name) => RepositoryRoot.PathOf($"models/recipes/{name}.yaml");
}
