using System.Text.Json;
using TrainServe.Core.Tokenization;
using TrainServe.TestSupport;

namespace TrainServe.Core.Tests.Tokenization;

/// <summary>Ids that other programs gave: Hugging Face's tokenizers by way of llama.cpp's and transformers.js's test vectors.</summary>
public class GoldenTokenizerTests
{
    [Fact]
    public void Gpt2_gives_all_ids_of_the_llama_cpp_vectors() => RequireVectors(Gpt2(), "golden/tokenizer-llama.cpp/gpt-2.jsonl", 47);

    [Fact]
    public void Qwen_gives_all_ids_of_the_llama_cpp_vectors() => RequireVectors(Qwen(), "golden/tokenizer-llama.cpp/qwen2.jsonl", 47);

    [Fact]
    public void Gpt2_and_qwen_give_all_ids_of_the_transformers_js_cases()
    {
        var tokenizers = new Dictionary<string, TextTokenizer> { ["gpt2"] = Gpt2(), ["Qwen"] = Qwen() };
        int checkedCases = 0;
        foreach (string line in SharedData.ReadText("golden/tokenizer-transformers.js.jsonl.gz").Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            using var document = JsonDocument.Parse(line);
            string name = document.RootElement.GetProperty("tokenizer").GetString()!;
            if (tokenizers.FirstOrDefault(tokenizer => name.Contains(tokenizer.Key)).Value is not { } tokenizer)
            {
                continue;
            }
            string text = document.RootElement.GetProperty("text").GetString()!;
            int[] ids = tokenizer.Encode(text);
            Assert.Equal(document.RootElement.GetProperty("ids").Deserialize<int[]>(), ids);
            Assert.Equal(text, tokenizer.Decode(ids));
            checkedCases++;
        }
        Assert.True(checkedCases >= 30, $"{checkedCases} cases");
    }

    [Fact]
    public void A_tokenizer_with_tokens_for_runs_of_spaces_finds_them_in_text()
    {
        using var directory = new TemporaryDirectory();
        directory.WriteText("tokenizer.json", SharedData.ReadText("models/tiny-random-gpt2-onnx/tokenizer.json.gz"));
        var tokenizer = TextTokenizer.Load(directory.FullName);
        int[] ids = tokenizer.Encode("a" + new string(' ', 31) + "b");
        Assert.Equal([64, 50257, 65], ids);
        Assert.False(tokenizer.Special.IsSpecial(50257));
        Assert.Equal("a" + new string(' ', 31) + "b", tokenizer.Decode(ids));
    }

    [Fact]
    public void Stories_come_back_byte_for_byte()
    {
        string stories = SharedData.ReadText("pretrain/tinystories.txt.gz");
        var tokenizer = Gpt2();
        Assert.Equal(stories, tokenizer.Decode(tokenizer.Encode(stories)));
    }

    private static void RequireVectors(TextTokenizer tokenizer, string file, int count)
    {
        string[] lines = SharedData.ReadText(file).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(count, lines.Length);
        foreach (string line in lines)
        {
            using var document = JsonDocument.Parse(line);
            string text = document.RootElement.GetProperty("text").GetString()!;
            int[] ids = tokenizer.Encode(text);
            Assert.Equal(document.RootElement.GetProperty("ids").Deserialize<int[]>(), ids);
            Assert.Equal(text, tokenizer.Decode(ids));
        }
    }

    private static TextTokenizer Gpt2()
    {
        using var directory = new TemporaryDirectory();
        string vocabulary = directory.WriteText("vocab.json", SharedData.ReadText("tokenizers/gpt2/vocab.json.gz"));
        string merges = directory.WriteText("merges.txt", SharedData.ReadText("tokenizers/gpt2/merges.txt.gz"));
        return TextTokenizer.LoadVocabularyAndMerges(vocabulary, merges);
    }

    private static TextTokenizer Qwen()
    {
        using var directory = new TemporaryDirectory();
        directory.WriteText("tokenizer.json", SharedData.ReadText("tokenizers/qwen3/tokenizer.json.gz"));
        directory.WriteText("tokenizer_config.json", SharedData.ReadText("tokenizers/qwen3/tokenizer_config.json"));
        return TextTokenizer.Load(directory.FullName);
    }
}
