using TrainServe.TestSupport;

namespace TrainServe.Cli.Tests;

public sealed class ArgumentTests
{
    [Theory]
    [InlineData("frobnicate")]
    [InlineData("generate --modle x")]
    [InlineData("generate --model x")]
    [InlineData("generate --model x --prompt a --max-tokens many")]
    [InlineData("generate --model x --prompt a --max-tokens 1 --backend cpu")]
    [InlineData("import llama2c --weights x")]
    public async Task Arguments_that_do_not_fit_end_with_2_and_a_sentence(string line)
    {
        var result = await ConsoleHost.RunAsync(line.Split(' '));
        Assert.Equal(2, result.ExitCode);
        Assert.StartsWith("error: ", result.Error);
        Assert.DoesNotContain("   at ", result.Error);
    }

    [Theory]
    [InlineData("inspect /nowhere/model", "/nowhere/model does not exist")]
    [InlineData("export --model /nowhere/model", "/nowhere/model does not exist")]
    [InlineData("generate --model /nowhere/model --prompt a --max-tokens 1", "/nowhere/model does not exist")]
    [InlineData("chat --model /nowhere/model", "/nowhere/model does not exist")]
    [InlineData("import llama2c --weights /nowhere/w.bin --tokenizer /nowhere/t.bin --output /tmp/trainserve-never-made", "/nowhere/w.bin does not exist")]
    [InlineData("init --config /nowhere/config.json --output /tmp/trainserve-never-made", "/nowhere/config.json does not exist")]
    [InlineData("tokenizer train --input /nowhere/text.txt --vocab-size 512 --output /tmp/trainserve-never-made", "/nowhere/text.txt")]
    public async Task A_missing_file_ends_with_1_and_is_named_in_one_sentence(string line, string expected)
    {
        var result = await ConsoleHost.RunAsync(line.Split(' '));
        Assert.Equal(1, result.ExitCode);
        Assert.Contains(expected, result.Error);
        Assert.Single(result.Error.Trim().Split('\n'));
        Assert.False(Directory.Exists("/tmp/trainserve-never-made"));
    }

    [Fact]
    public async Task Help_names_every_verb()
    {
        var result = await ConsoleHost.RunAsync("--help");
        Assert.Equal(0, result.ExitCode);
        foreach (string verb in new[] { "import", "init", "tokenizer", "export", "generate", "chat", "inspect" })
        {
            Assert.Contains($"  {verb} ", result.Output);
        }
    }
}
