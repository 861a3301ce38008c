using TrainServe.Core;
using TrainServe.Core.Chat;
using TrainServe.Core.Data;
using TrainServe.Core.Packaging;
using TrainServe.Core.Sampling;
using TrainServe.Core.Scoring;
using TrainServe.Core.Tokenization;
using TrainServe.TestSupport;
using TrainServe.Training.ConstitutionalAi;
using TrainServe.Training.Recipes;

namespace TrainServe.Training.Tests.ConstitutionalAi;

public sealed class CritiqueAndRevisionTests : IDisposable
{
    private const string Yaml = """
        principles:
          - { name: kind, critique: "What is unkind?", revision: "Be kind.", comparison: "Which is kinder?" }
        """;

    private readonly TemporaryDirectory _directory = new();
    private readonly TextTokenizer _tokenizer;
    private readonly ChatTemplate _template;

    public CritiqueAndRevisionTests()
    {
        var package = TinyPackages.Write(_directory.PathOf("model"));
        _tokenizer = package.LoadTokenizer();
        _template = package.LoadChatTemplate(_tokenizer);
    }

    public void Dispose() => _directory.Dispose();

    [Fact]
    public void The_model_sees_its_answer_then_its_critique_and_the_revision_is_kept()
    {
        var model = new ScriptedModel(_tokenizer) { Speech = talk => talk.EndsWith("kind.<|end|><|assistant|>", StringComparison.Ordinal) ? "Sorry" : talk.EndsWith("unkind?<|end|><|assistant|>", StringComparison.Ordinal) ? "Rude" : "Go away" };
        var found = Assert.Single(Stage(model).Revise([Question("Hi")]));
        Assert.Equal(("kind", "Go away", "Rude", "Sorry"), (found.Principle, found.Answer, found.Critique, found.Revision));
        Assert.Equal("<|endoftext|><|user|>Hi<|end|><|assistant|>Go away<|end|><|user|>What is unkind?<|end|><|assistant|>Rude<|end|><|user|>Be kind.<|end|><|assistant|>", model.Talks[2]);
    }

    [Theory]
    // The model finds the word that holds "good" better by two nats, wherever it stands, and the first place by one more or less.
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(-1)]
    [InlineData(5)]
    public void Two_answers_are_compared_in_both_orders_so_that_a_favoured_place_counts_nothing(double favour)
    {
        var answers = new Queue<string>(["bad", "good"]);
        var model = new ScriptedModel(_tokenizer)
        {
            Speech = _ => answers.Dequeue(),
            Score = (question, answer) => (question.Contains($"{answer.Trim()} good", StringComparison.Ordinal) ? 0 : -2) + (answer == " (A)" ? favour : 0),
        };
        var found = Assert.Single(Stage(model).Compare([Question("Hi")]));
        Assert.Equal(("good", "bad"), (found.Chosen, found.Rejected));
        // sigmoid(2)
        Assert.Equal(1 / (1 + Math.Exp(-2)), found.Confidence, 1e-6);
    }

    [Fact]
    public void Equal_and_empty_answers_are_left_out_and_counted()
    {
        var stage = Stage(new ScriptedModel(_tokenizer) { Speech = _ => "same" });
        Assert.Empty(stage.Compare([Question("Hi")]));
        Assert.Equal(1, stage.Skipped);
        var silent = Stage(new ScriptedModel(_tokenizer) { Speech = _ => " " });
        Assert.Empty(silent.Revise([Question("Hi"), Question(new string('x', 300))]));
        Assert.Equal(2, silent.Skipped);
    }

    [Theory]
    [InlineData("principles: []", "must have at least one item")]
    [InlineData("principles: [{ name: a, critique: b, revision: c }]", "comparison is missing")]
    [InlineData("principles: [{ name: a, critique: ' ', revision: c, comparison: d }]", "critique is empty; it must say something")]
    [InlineData("principles: [{ name: a, critique: b, revision: c, comparison: d }, { name: a, critique: b, revision: c, comparison: d }]", "must give each principle a name of its own")]
    public void A_constitution_that_cannot_be_is_refused(string yaml, string rule) =>
        Assert.Contains(rule, Assert.Throws<RecipeException>(() => RecipeFile.Parse<Constitution>(yaml, "c.yaml")).Message, StringComparison.Ordinal);

    [Fact]
    public void The_constitution_that_is_shipped_can_be_read() => Assert.Equal(5, RecipeFile.Read<Constitution>(RepositoryRoot.PathOf("models/constitution.yaml")).Principles.Count);

    private static Prompt Question(string text) => new([ChatMessage.User(text)], null, default);

    private CritiqueAndRevision Stage(ILanguageScorer model) => new(RecipeFile.Parse<Constitution>(Yaml, "c.yaml"), model, _tokenizer, _template, new SamplingParameters(), maxNewTokens: 16, seed: 1);

    /// <summary>Says and scores what a test decides.</summary>
    private sealed class ScriptedModel(TextTokenizer tokenizer) : ILanguageScorer
    {
        public Func<string, string> Speech { get; init; } = _ => "";
        public Func<string, string, double> Score { get; init; } = (_, _) => 0;
        public List<string> Talks { get; } = [];
        public int ContextLength => 256;

        IReadOnlyList<ScoredContinuation> ILanguageScorer.Score(IReadOnlyList<ScoringRequest> requests, CancellationToken cancellationToken) =>
            [.. requests.Select(request => new ScoredContinuation([(float)Score(tokenizer.Decode(request.Context), tokenizer.Decode(request.Continuation))], false))];

        public IReadOnlyList<int[]> Generate(IReadOnlyList<int[]> prompts, int maxNewTokens, SamplingParameters sampling, IReadOnlyCollection<int> stopTokenIds, CancellationToken cancellationToken = default)
        {
            Talks.AddRange(prompts.Select(prompt => tokenizer.Decode(prompt, skipSpecial: false)));
            return [.. prompts.Select(prompt => tokenizer.Encode(Speech(tokenizer.Decode(prompt, skipSpecial: false))))];
        }

        public void Dispose()
        {
        }
    }
}
