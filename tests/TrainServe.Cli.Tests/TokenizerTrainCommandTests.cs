using System.CommandLine;
using TrainServe.Cli.Commands;
using TrainServe.Core.Tokenization;
using TrainServe.TestSupport;

namespace TrainServe.Cli.Tests;

public sealed class TokenizerTrainCommandTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task Files_and_directories_of_text_become_a_tokenizer_that_loads()
    {
        string stories = _directory.WriteText("data/stories.txt", string.Concat(Enumerable.Repeat("The cat sat on the mat.\n<|endoftext|>\n", 20)));
        string books = _directory.WriteText("book.jsonl", "{\"text\": \"The dog sat on the cat.\"}\n");
        Assert.Equal(ExitCodes.Done, await RunAsync("--input", Path.GetDirectoryName(stories)!, books, "--vocab-size", "300", "--output", _directory.PathOf("tokenizer")));
        var tokenizer = TextTokenizer.Load(_directory.PathOf("tokenizer"));
        Assert.Equal("The cat sat", tokenizer.Decode(tokenizer.Encode("The cat sat")));
        Assert.True(tokenizer.Encode(" cat sat").Length <= 4);
    }

    [Fact]
    public async Task A_vocabulary_that_is_too_small_is_a_bad_argument()
    {
        string text = _directory.WriteText("a.txt", "text");
        Assert.Equal(ExitCodes.BadArguments, await RunAsync("--input", text, "--vocab-size", "100", "--output", _directory.PathOf("tokenizer")));
        Assert.False(Directory.Exists(_directory.PathOf("tokenizer")));
    }

    [Fact]
    public async Task Missing_damaged_and_empty_input_fails_and_leaves_nothing_behind()
    {
        string[] inputs = [_directory.PathOf("none.txt"), _directory.WriteText("empty.txt", ""), _directory.WriteBytes("bad.txt", [0xFF, 0xFE]), _directory.WriteText("bad.jsonl", "{\"text\": ")];
        foreach (string input in inputs)
        {
            Assert.Equal(ExitCodes.Failed, await RunAsync("--input", input, "--vocab-size", "300", "--output", _directory.PathOf("tokenizer")));
            Assert.False(Directory.Exists(_directory.PathOf("tokenizer")));
        }
    }

    [Fact]
    public async Task A_tokenizer_that_is_there_is_not_replaced()
    {
        string text = _directory.WriteText("a.txt", "text text");
        string old = _directory.WriteText("tokenizer/tokenizer.json", "old");
        Assert.Equal(ExitCodes.Failed, await RunAsync("--input", text, "--vocab-size", "300", "--output", _directory.PathOf("tokenizer")));
        Assert.Equal("old", File.ReadAllText(old));
    }

    private static Task<int> RunAsync(params string[] options) =>
        ExitCodes.RunAsync(new RootCommand { TokenizerTrainCommand.Create() }, ["tokenizer", "train", .. options]);
}
