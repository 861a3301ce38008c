using TrainServe.Core;
using TrainServe.Core.Packaging;
using TrainServe.Core.Tokenization;
using TrainServe.Model;
using TrainServe.TestSupport;
using TrainServe.Training.FineTuning;
using TrainServe.Training.Loops;
using TrainServe.Training.Recipes;
using TrainServe.Training.Tests.Loops;

namespace TrainServe.Training.Tests.FineTuning;

[Collection(TorchFixture.Generator)]
public sealed class SftLoopTests : StageRuns
{
    private const string RecipeText = """
        data: { validation_fraction: 0 }
        training: { steps: 10, batch_rows: 4, micro_batch_rows: 2 }
        optimizer: { learning_rate: 0.01, warmup_steps: 2 }
        checkpoint: { every_steps: 3 }
        """;

    public SftLoopTests()
        : base(RecipeText, "talks.jsonl", "base")
    {
        TinyPackages.Write(Files.PathOf("base"), TinyModels.Config(TinyPackages.VocabSize, hiddenSize: 32, intermediateSize: 64));
        Files.WriteText("talks.jsonl", """
            {"messages":[{"role":"user","content":"Cat?"},{"role":"assistant","content":"Meow"}]}
            {"messages":[{"role":"user","content":"Dog?"},{"role":"assistant","content":"Woof"}]}
            {"messages":[{"role":"user","content":"Cow?"},{"role":"assistant","content":"Moo"}]}
            {"messages":[{"role":"user","content":"Owl?"},{"role":"assistant","content":"Hoo"},{"role":"user","content":"Cat?"},{"role":"assistant","content":"Meow"}]}
            """);
    }

    [Fact]
    public void A_model_learns_to_answer_and_to_stop()
    {
        using var run = Prepare(Options("out", overrides: ["training.steps=150", "training.micro_batch_rows=4"]));
        var (_, package) = run.Run(CancellationToken.None);
        package!.Verify();
        var tokenizer = package.LoadTokenizer();
        var template = package.LoadChatTemplate(tokenizer);
        Assert.Equal(template.StopTokenIds, GenerationConfig.Read(Path.Combine(package.Directory, "generation_config.json")).EosTokenId);
        using var model = Transformer.Load(package);
        foreach (var (question, answer) in new[] { ("Cat?", "Meow"), ("Dog?", "Woof"), ("Cow?", "Moo") })
        {
            Assert.Equal(answer, Answer(model, template.EncodePrompt([Core.Chat.ChatMessage.User(question)]), tokenizer, template.StopTokenIds));
        }
    }

    [Fact]
    public void A_run_that_is_killed_goes_on_and_gives_the_same_model()
    {
        var (_, whole) = Run("whole");
        Assert.Throws<TimeoutException>(() => Run("out", display: new FailingDisplay(8)));
        var (_, resumed) = Run("out", resume: true);
        Assert.Equal(File.ReadAllBytes(whole!.WeightsPath), File.ReadAllBytes(resumed!.WeightsPath));
    }

    [Fact]
    public void Noise_on_the_embeddings_is_drawn_from_the_seed_and_only_there_in_training()
    {
        using (var model = Transformer.Load(ModelPackage.Open(Files.PathOf("base"))))
        using (TorchSharp.torch.no_grad())
        using (TorchSharp.torch.NewDisposeScope())
        {
            model.EmbeddingNoise = 5;
            var ids = TorchSharp.torch.tensor(new long[] { 1, 2, 3, 4 }).unsqueeze(0);
            Assert.True(model.forward(ids).equal(model.forward(ids)).all().item<bool>());
            model.train();
            Assert.False(model.forward(ids).equal(model.forward(ids)).all().item<bool>());
        }
        // The same seed draws the same noise, and other noise gives another first loss.
        var (_, one) = Run("one", overrides: ["neftune_alpha=5"]);
        var (_, two) = Run("two", overrides: ["neftune_alpha=5"]);
        Assert.Equal(File.ReadAllBytes(one!.WeightsPath), File.ReadAllBytes(two!.WeightsPath));
        Run("three");
        Assert.NotEqual(Display.Steps[0].Loss, Display.Steps[^10].Loss);
    }

    [Fact]
    public void Changed_conversations_and_another_model_are_refused_on_resume()
    {
        Assert.Throws<TimeoutException>(() => Run("out", display: new FailingDisplay(8)));
        string talks = File.ReadAllText(Files.PathOf("talks.jsonl"));
        File.WriteAllText(Files.PathOf("talks.jsonl"), talks.Replace("Woof", "Wuff", StringComparison.Ordinal));
        Assert.Contains("the content of the data source talks was", Assert.Throws<RecipeException>(() => Run("out", resume: true)).Message, StringComparison.Ordinal);
        File.WriteAllText(Files.PathOf("talks.jsonl"), talks);
        TinyPackages.Write(Files.PathOf("other"), TinyModels.Config(TinyPackages.VocabSize, hiddenSize: 32, intermediateSize: 64), seed: 2);
        using var run = Prepare(Options("out", resume: true) with { Model = Files.PathOf("other") });
        Assert.Contains("the weights to begin from had the hash", Assert.Throws<RecipeException>(() => run.Run(CancellationToken.None)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_plan_says_how_the_conversations_were_packed_and_shows_the_mask()
    {
        using var run = Prepare(Options("out"));
        // Cat, Dog, Cow and Owl have 13, 13, 12 and 24 tokens, of which the last are only targets: 58 of the 64 places of one row. 23 tokens are learned.
        Assert.Equal("talks: 4 conversations in 1 rows, 90.6 % full; 39.7 % of the tokens are learned; 0 conversations are held out.", Assert.Single(run.Plan.Notes));
        Assert.Contains("<|user|>Cat?<|end|><|assistant|>⟦Meow<|end|>⟧", run.Plan.Preview, StringComparison.Ordinal);
    }

    [Fact]
    public void One_question_is_never_on_both_sides()
    {
        File.WriteAllLines(Files.PathOf("talks.jsonl"), Enumerable.Range(0, 200).Select(i =>
            $$"""{"messages":[{"role":"user","content":"Question {{i % 100}}"},{"role":"assistant","content":"Answer {{i}}"}]}"""));
        using var run = Prepare(Options("out", overrides: ["data.validation_fraction=0.3"]));
        string note = Assert.Single(run.Plan.Notes);
        int held = int.Parse(System.Text.RegularExpressions.Regex.Match(note, @"(\d+) conversations are held").Groups[1].Value, System.Globalization.CultureInfo.InvariantCulture);
        // Both answers to a question go together. 100 questions, 30 expected, standard deviation 4.6.
        Assert.Equal(0, held % 2);
        Assert.InRange(held, 2 * 12, 2 * 48);
    }

    [Fact]
    public void A_tokenizer_without_the_chat_formats_tokens_is_refused()
    {
        var tokenizer = ByteTokenizer.Write(Files.PathOf("plain"), [SpecialTokens.EndOfText, SpecialTokens.Pad]);
        var config = TinyModels.Config(tokenizer.VocabSize);
        config.Write(Files.PathOf("plain", "config.json"));
        RandomWeights.Write(Files.PathOf("plain", "model.safetensors"), config, 1);
        var error = Assert.Throws<InvalidDataException>(() => Prepare(Options("out") with { Model = Files.PathOf("plain") }));
        Assert.Contains("it lacks <|system|>, <|user|>, <|assistant|>, <|tool|>, <|tool_call|>, <|end|>", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_bad_conversation_stops_the_run_with_file_and_line_or_is_counted()
    {
        File.AppendAllText(Files.PathOf("talks.jsonl"), "\n" + """{"messages":[{"role":"user","content":"No answer"}]}""" + "\n");
        var error = Assert.Throws<InvalidDataException>(() => Prepare(Options("out")));
        Assert.Contains("talks.jsonl:5: the conversation has no assistant turn", error.Message, StringComparison.Ordinal);
        using var run = Prepare(Options("out", overrides: ["data.skip_bad_records=true"]));
        Assert.Contains(run.Plan.Notes, note => note.Contains("1 left out", StringComparison.Ordinal));
    }

    [Fact]
    public void A_row_longer_than_the_models_context_is_refused() => Assert.Contains("data.sequence_length is 65",
        Assert.Throws<RecipeException>(() => Prepare(Options("out", overrides: ["data.sequence_length=65"]))).Message, StringComparison.Ordinal);

    [Fact]
    public void A_damaged_model_is_refused()
    {
        string weights = Files.PathOf("base", "model.safetensors");
        var bytes = File.ReadAllBytes(weights);
        bytes[^1] ^= 1;
        File.WriteAllBytes(weights, bytes);
        Assert.Contains("model.safetensors was changed", Assert.Throws<InvalidDataException>(() => Prepare(Options("out"))).Message, StringComparison.Ordinal);
    }

    private static string Answer(Transformer model, int[] prompt, TextTokenizer tokenizer, IReadOnlyList<int> stops)
    {
        var ids = new List<int>(prompt);
        using var noGradient = TorchSharp.torch.no_grad();
        while (ids.Count < 60)
        {
            using var scope = TorchSharp.torch.NewDisposeScope();
            var logits = model.call(TorchSharp.torch.tensor(ids.ToArray(), TorchSharp.torch.ScalarType.Int64).unsqueeze(0));
            int next = (int)logits[0, -1].argmax().item<long>();
            if (stops.Contains(next))
            {
                return tokenizer.Decode(ids.ToArray().AsSpan(prompt.Length));
            }
            ids.Add(next);
        }
        return "(no end) " + tokenizer.Decode(ids.ToArray().AsSpan(prompt.Length));
    }

    protected override ITrainingRun Begin(RunOptions options, ITrainingDisplay display) => SftLoop.Prepare(options, Recipe<FineTuningRecipe>(options), Work(options), display, TimeProvider.System);
}
