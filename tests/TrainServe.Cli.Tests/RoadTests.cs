using System.IO.Compression;
using System.Text.Json;
using TrainServe.Core.Packaging;
using TrainServe.TestSupport;

namespace TrainServe.Cli.Tests;

public sealed class RoadTests : IDisposable
{
    private const string Shape = """
        {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 300, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
         "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 128, "tie_word_embeddings": true}
        """;

    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task A_copy_for_deployment_has_rounded_weights_and_the_asked_export_alone()
    {
        string model = TinyPackages.Write(_directory.PathOf("model"), TinyModels.Config(TinyPackages.VocabSize, hiddenSize: 64, maxPositions: 128)).Directory, small = _directory.PathOf("small");

        var result = await ConsoleHost.RunAsync("export", "--model", model, "--output", small, "--weights", "bfloat16", "--precision", "int8", "--max-perplexity-increase", "100");

        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        Assert.Equal(["int8"], ModelPackage.OpenVerified(small).Precisions);
        Assert.False(Directory.Exists(Path.Combine(model, "onnx")));
        Assert.Contains("to bfloat16", (await ConsoleHost.RunAsync("inspect", small)).Output);
        Assert.Equal(0, (await ConsoleHost.RunAsync("generate", "--model", small, "--prompt", "a", "--max-tokens", "2", "--backend", "onnx")).ExitCode);
        Assert.Equal(2, (await ConsoleHost.RunAsync("export", "--model", model, "--weights", "bfloat16")).ExitCode);
    }

    [Fact]
    public async Task A_random_model_is_exported_inspected_and_continued_equally_by_both_runtimes()
    {
        string config = _directory.WriteText("config.json", Shape), model = _directory.PathOf("model");
        await SucceedAsync("init", "--config", config, "--output", model, "--seed", "5");
        await SucceedAsync("export", "--model", model);
        string shown = await SucceedAsync("inspect", model);
        Assert.Contains("certificate fp32   holds", shown);
        Assert.Contains("every hash holds", shown);
        using var torch = await GenerateAsync(model, "torch", "--prompt", "Hello there");
        using var onnx = await GenerateAsync(model, "onnx", "--prompt", "Hello there");
        Assert.Equal(20, torch.RootElement.GetProperty("output_ids").GetArrayLength());
        Assert.Equal(torch.RootElement.GetProperty("output_ids").GetRawText(), onnx.RootElement.GetProperty("output_ids").GetRawText());
        Assert.Equal(11 + 1, onnx.RootElement.GetProperty("prompt_ids").GetArrayLength());
    }

    [Theory]
    [InlineData("torch")]
    [InlineData("onnx")]
    public async Task An_imported_story_model_goes_on_exactly_as_in_the_original_program(string backend)
    {
        string weights = SharedData.File("models/stories260K/stories260K.bin"), tokenizer = SharedData.File("models/stories260K/tok512.bin");
        using var golden = JsonDocument.Parse(new GZipStream(File.OpenRead(SharedData.File("golden/stories260K.greedy.json.gz")), CompressionMode.Decompress));
        string model = _directory.PathOf("stories260K");
        await SucceedAsync("import", "llama2c", "--weights", weights, "--tokenizer", tokenizer, "--output", model);
        await SucceedAsync("export", "--model", model);
        foreach (var story in golden.RootElement.EnumerateArray())
        {
            int[] ids = Ids(story.GetProperty("ids"));
            int[] prompt = Ids(story.GetProperty("prompt_ids"));
            using var result = await GenerateAsync(model, backend, "--ids", string.Join(',', prompt), ids.Length - prompt.Length);
            Assert.Equal(ids[prompt.Length..], Ids(result.RootElement.GetProperty("output_ids")));
        }
    }

    [Fact]
    public async Task A_model_that_is_there_is_not_overwritten()
    {
        string config = _directory.WriteText("config.json", Shape), model = _directory.PathOf("model");
        await SucceedAsync("init", "--config", config, "--output", model);
        var again = await ConsoleHost.RunAsync("init", "--config", config, "--output", model);
        Assert.Equal(1, again.ExitCode);
        Assert.Contains("already holds a model", again.Error);
    }

    [Fact]
    public async Task A_changed_model_is_named_and_neither_shown_as_sound_nor_run()
    {
        string config = _directory.WriteText("config.json", Shape), model = _directory.PathOf("model");
        await SucceedAsync("init", "--config", config, "--output", model);
        await SucceedAsync("export", "--model", model);
        string data = Path.Combine(model, "onnx", "fp32", "model.onnx.data");
        byte[] bytes = File.ReadAllBytes(data);
        bytes[100] ^= 1;
        File.WriteAllBytes(data, bytes);
        string weights = Path.Combine(model, "model.safetensors");
        byte[] weightBytes = File.ReadAllBytes(weights);
        weightBytes[^1] ^= 1;
        File.WriteAllBytes(weights, weightBytes);
        var torch = await ConsoleHost.RunAsync("generate", "--model", model, "--prompt", "a", "--max-tokens", "1", "--backend", "torch");
        Assert.Equal(1, torch.ExitCode);
        Assert.Contains("model.safetensors was changed", torch.Error);
        weightBytes[^1] ^= 1;
        File.WriteAllBytes(weights, weightBytes);
        foreach (string[] line in new string[][] { ["inspect", model], ["generate", "--model", model, "--prompt", "a", "--max-tokens", "1"], ["chat", "--model", model] })
        {
            var result = await ConsoleHost.RunAsync(line);
            Assert.Equal(1, result.ExitCode);
            Assert.Contains("model.onnx.data was changed", result.Error);
        }
    }

    [Fact]
    public async Task An_export_without_a_certificate_runs_only_when_the_user_says_so()
    {
        string config = _directory.WriteText("config.json", Shape), model = _directory.PathOf("model");
        await SucceedAsync("init", "--config", config, "--output", model);
        await SucceedAsync("export", "--model", model);
        var package = ModelPackage.Open(model);
        (package.Manifest! with { Certificates = [] }).Write(package.ManifestPath);
        foreach (string[] line in new string[][] { ["generate", "--model", model, "--prompt", "a", "--max-tokens", "1"], ["chat", "--model", model] })
        {
            var result = await ConsoleHost.RunAsync(line);
            Assert.Equal(1, result.ExitCode);
            Assert.Contains("has no export with a certificate; make one with: trainserve export", result.Error);
            Assert.Equal(0, (await ConsoleHost.RunAsync([.. line, "--without-certificate"])).ExitCode);
        }
    }

    [Fact]
    public async Task An_export_to_another_directory_can_be_talked_with_and_leaves_the_model_alone()
    {
        string config = _directory.WriteText("config.json", Shape), model = _directory.PathOf("model"), served = _directory.PathOf("served");
        await SucceedAsync("init", "--config", config, "--output", model);
        await SucceedAsync("export", "--model", model, "--output", served);
        Assert.False(Directory.Exists(Path.Combine(model, "onnx")));
        await SucceedAsync("generate", "--model", served, "--prompt", "a", "--max-tokens", "1");
    }

    [Fact]
    public async Task A_chat_that_outgrows_the_context_says_how_to_start_over_and_goes_on()
    {
        string config = _directory.WriteText("config.json", Shape), model = _directory.PathOf("model");
        await SucceedAsync("init", "--config", config, "--output", model);
        await SucceedAsync("export", "--model", model);
        var result = await ConsoleHost.RunAsync($"{new string('a', 200)}\nHello\n", ["chat", "--model", model, "--seed", "1", "--max-tokens", "8"]);
        Assert.Equal(0, result.ExitCode);
        string[] answers = result.Output.Split("> ", StringSplitOptions.RemoveEmptyEntries);
        // 200 letters, and around them the beginning of a text, a turn's two tokens and the assistant's: more than the 128 of the context.
        Assert.StartsWith("(The conversation with this message has 204 tokens, and the context holds 128", answers[0]);
        Assert.Contains("/new", answers[0]);
        Assert.DoesNotContain("/new", answers[1]);
    }

    [Fact]
    public async Task A_chat_answers_line_by_line()
    {
        string config = _directory.WriteText("config.json", Shape), model = _directory.PathOf("model");
        await SucceedAsync("init", "--config", config, "--output", model);
        await SucceedAsync("export", "--model", model);
        var result = await ConsoleHost.RunAsync("Hello\n/new\nHello\n", ["chat", "--model", model, "--seed", "1", "--max-tokens", "8"]);
        Assert.Equal(0, result.ExitCode);
        // The same question in a conversation begun anew has the same answer.
        string[] answers = result.Output.Split("> ", StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(2, answers.Length);
        Assert.Equal(answers[0], answers[1]);
    }

    private static int[] Ids(JsonElement list) => [.. list.EnumerateArray().Select(id => id.GetInt32())];

    private static async Task<JsonDocument> GenerateAsync(string model, string backend, string option, string value, int maxTokens = 20) =>
        JsonDocument.Parse(await SucceedAsync("generate", "--model", model, "--backend", backend, option, value, "--max-tokens", $"{maxTokens}", "--json"));

    private static async Task<string> SucceedAsync(params string[] arguments)
    {
        var result = await ConsoleHost.RunAsync(arguments);
        Assert.True(result.ExitCode == 0, $"trainserve {string.Join(' ', arguments)} ended with {result.ExitCode}: {result.Error}");
        return result.Output;
    }
}
