using System.Text;
using TrainServe.Core.Chat;
using TrainServe.Core.Data;
using TrainServe.Core.Packaging;
using TrainServe.Core.Scoring;
using TrainServe.Core.Tokenization;
using TrainServe.Evaluation.Metrics;
using TrainServe.Evaluation.Tasks;
using TrainServe.TestSupport;

namespace TrainServe.Evaluation.Tests;

/// <summary>Each rule of the public harness with numbers that were worked by hand. Tokens are bytes here.</summary>
public sealed class ScoringRulesTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();
    private readonly ModelPackage _package;
    private readonly TextTokenizer _tokenizer;
    private readonly ChatTemplate _template;

    public ScoringRulesTests()
    {
        _package = TinyPackages.Write(_directory.PathOf("model"));
        _tokenizer = _package.LoadTokenizer();
        _template = _package.LoadChatTemplate(_tokenizer);
    }

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData("Answer:", " yes")]
    [InlineData("Answer: ", "yes")]
    public void White_space_at_the_end_of_a_context_belongs_to_the_continuation(string context, string continuation)
    {
        var request = Encoding(64).Encode(context, continuation);
        Assert.Equal([_package.Config.BosTokenId!.Value, .. Bytes("Answer:")], request.Context);
        Assert.Equal(Bytes(" yes"), request.Continuation);
    }

    [Fact]
    public void A_sentence_without_a_context_follows_the_token_that_begins_a_text() => Assert.Equal([_package.Config.BosTokenId!.Value], Encoding(64).Encode("", "Birds sing.").Context);

    [Fact]
    public void A_long_context_loses_its_beginning_and_is_counted()
    {
        var encoding = Encoding(6);
        var request = encoding.Encode("abcdefgh", "xyz");
        // Six tokens are read: four of the context and x, y; z is only a target.
        Assert.Equal(Bytes("efgh"), request.Context);
        Assert.Equal(1, encoding.Truncated);
        Assert.Contains("has 7 tokens; the model reads 6", Assert.Throws<InvalidDataException>(() => encoding.Encode("a", "1234567")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_most_likely_answer_counts_and_by_length_the_most_likely_a_character()
    {
        // -2 for two characters, -4 for eight: the sum prefers the first, the mean the second.
        ChoiceItem item = new([Option("aa"), Option("bbbbbbbb")], Gold: 1, null, default);
        var result = Choices([item], request => request.Continuation[1] == 'a' ? Sum(-2) : Sum(-4));
        Assert.Equal(0, result.Metrics["accuracy"]);
        Assert.Equal(1, result.Metrics["accuracy_by_length"]);
        Assert.Equal(0.5, result.Metrics["chance"]);
    }

    [Fact]
    public void An_answer_that_is_only_as_likely_as_another_is_not_right() =>
        Assert.Equal(0, Choices([new([Option("a"), Option("b")], 0, null, default)], _ => Sum(-1)).Metrics["accuracy"]);

    [Fact]
    public void Groups_have_their_own_accuracy()
    {
        ChoiceItem[] items = [new([Option("a"), Option("b")], 0, "one", default), new([Option("a"), Option("b")], 1, "one", default), new([Option("b"), Option("a")], 1, "two", default)];
        var result = Choices(items, request => Sum(request.Continuation[1] == 'a' ? -1 : -2));
        Assert.Equal(2.0 / 3, result.Metrics["accuracy"], 1e-12);
        Assert.Equal(0.5, result.Groups!["one"]);
        Assert.Equal(1, result.Groups["two"]);
    }

    [Fact]
    public void A_sentence_is_completed_when_every_token_is_the_most_likely_one()
    {
        ChoiceItem[] items = [new([Option("sky")], 0, null, default), new([Option("sea")], 0, null, default)];
        var result = Choices(items, request => new ScoredContinuation([-1, request.Continuation[3] == 'y' ? -1 : -3], request.Continuation[3] == 'y'));
        Assert.Equal("completion", result.Kind);
        Assert.Equal(0.5, result.Metrics["accuracy"]);
        // exp(-(-2 - 4) / 2)
        Assert.Equal(Math.Exp(3), result.Metrics["perplexity"], 1e-9);
    }

    [Fact]
    public void Every_token_of_a_text_is_foreseen_once_and_the_last_window_reaches_back()
    {
        var windows = TextTask.Windows(first: 99, [.. Enumerable.Range(0, 10)], contextLength: 4).ToList();
        Assert.Equal([[99], [3], [5, 6, 7]], windows.Select(window => window.Context));
        Assert.Equal([[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]], windows.Select(window => window.Continuation));
        // What is read: all but the last token.
        Assert.All(windows, window => Assert.Equal(4, window.Context.Length + window.Continuation.Length - 1));
    }

    [Fact]
    public void Bits_are_counted_by_the_bytes_of_the_text()
    {
        // "é a": 4 bytes, 4 tokens, 2 words, each token 2 bits.
        using var scorer = new FakeScorer { Judge = request => new ScoredContinuation([.. request.Continuation.Select(_ => (float)(-2 * Math.Log(2)))], false) };
        var result = TextTask.Run([new Document("é a", default)], scorer, _tokenizer, Encoding(64));
        Assert.Equal(4, result.Metrics["bytes"]);
        Assert.Equal(2, result.Metrics["bits_per_byte"], 1e-6);
        Assert.Equal(4, result.Metrics["perplexity"], 1e-5);
        Assert.Equal(Math.Pow(2, 4), result.Metrics["word_perplexity"], 1e-4);
    }

    [Fact]
    public void A_perplexity_beyond_every_number_is_left_out_and_the_loss_stays()
    {
        // A text without white space is one word, however long: 40 tokens of 20 nats are exp(800) a word.
        using var scorer = new FakeScorer { Judge = request => new ScoredContinuation([.. request.Continuation.Select(_ => -20f)], false) };
        var result = TextTask.Run([new Document(new string('x', 40), default)], scorer, _tokenizer, Encoding(64));
        Assert.Equal(20, result.Metrics["loss"], 1e-6);
        Assert.Equal(Math.Exp(20), result.Metrics["perplexity"], 1);
        Assert.DoesNotContain("word_perplexity", result.Metrics.Keys);
        // What is written must be numbers.
        Assert.All(result.Metrics.Values, value => Assert.True(double.IsFinite(value)));
    }

    [Fact]
    public void A_model_that_gives_no_number_has_no_loss()
    {
        using var scorer = new FakeScorer { Judge = request => new ScoredContinuation([.. request.Continuation.Select(_ => float.NaN)], false) };
        Assert.Contains("gives no number", Assert.Throws<InvalidDataException>(() => TextTask.Run([new Document("abc", default)], scorer, _tokenizer, Encoding(64))).Message, StringComparison.Ordinal);
        ChoiceItem[] one = [new([Option("abc"), Option("abd")], 0, null, new RecordOrigin("words.jsonl", 2))];
        Assert.StartsWith("words.jsonl:2: the model gives no number", Assert.Throws<InvalidDataException>(() => ChoiceTask.Run(one, scorer, Encoding(64))).Message, StringComparison.Ordinal);
    }

    [Theory]
    // Wilson's score interval for 8 of 10: (0.8 + 0.19207 -+ 1.95996 * sqrt(0.016 + 0.0096036)) / 1.38415
    [InlineData(8, 10, 0.49016, 0.94331)]
    [InlineData(0, 10, 0, 0.27753)]
    [InlineData(10, 10, 0.72247, 1)]
    public void The_interval_is_wilsons(double successes, int count, double low, double high)
    {
        var interval = Interval.Wilson(successes, count);
        Assert.Equal(low, interval.Low, 1e-4);
        Assert.Equal(high, interval.High, 1e-4);
    }

    [Theory]
    [InlineData("  forty \n two ", "forty two", AnswerMatch.Exact, true)]
    [InlineData("Forty two", "forty two", AnswerMatch.Exact, false)]
    [InlineData("so it is 1,042.", "2 * 521\n#### 1042", AnswerMatch.Number, true)]
    [InlineData("none", "7", AnswerMatch.Number, false)]
    public void An_answer_is_compared_by_the_rule_of_its_name(string answer, string reference, AnswerMatch match, bool isRight) =>
        Assert.Equal(isRight, GenerationTask.IsRight(answer, reference, match, default));

    [Fact]
    public void Generated_answers_are_counted_and_shown()
    {
        Prompt[] prompts = [new([ChatMessage.User("1+1=")], "2", default), new([ChatMessage.User("1+2=")], "3", default)];
        using var scorer = new FakeScorer { Answer = _ => Bytes("2") };
        var result = GenerationTask.Run(prompts, AnswerMatch.Number, scorer, _tokenizer, _template, new GenerationSettings(4, Core.Sampling.SamplingParameters.Greedy));
        Assert.Equal(0.5, result.Metrics["exact_match"]);
        Assert.Equal("1+1= >>> 2 (expected 2)", result.Samples![0]);
    }

    [Fact]
    public void A_prompt_that_leaves_no_room_is_named_by_file_and_line()
    {
        using var scorer = new FakeScorer { ContextLength = 10 };
        Prompt[] prompts = [new([ChatMessage.User("much too long for this")], "2", new RecordOrigin("sums.jsonl", 3))];
        Assert.StartsWith("sums.jsonl:3: the prompt has 26 tokens", Assert.Throws<InvalidDataException>(() =>
            GenerationTask.Run(prompts, AnswerMatch.Number, scorer, _tokenizer, _template, new GenerationSettings(4, Core.Sampling.SamplingParameters.Greedy))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_reward_models_ties_are_not_right_and_length_alone_gives_a_half()
    {
        // Better answers that are longer: right, right, tie; that are not: wrong.
        var result = PreferenceTask.Of([new("a", 1, true), new("b", 2, true), new("c", 0, true), new("d", -1, false)], overLong: 3);
        Assert.Equal(0.5, result.Metrics["accuracy"]);
        Assert.Equal(0.25, result.Metrics["ties"]);
        Assert.Equal((2.0 / 3 + 0) / 2, result.Metrics["accuracy_length_balanced"], 1e-12);
        Assert.Equal(3, result.Metrics["over_long"]);
        double expected = (Math.Log(1 + Math.Exp(-1)) + Math.Log(1 + Math.Exp(-2)) + Math.Log(2) + Math.Log(1 + Math.Exp(1))) / 4;
        Assert.Equal(expected, result.Metrics["loss"], 1e-12);
    }

    [Fact]
    public void A_win_is_a_higher_score_and_a_tie_counts_half()
    {
        Prompt[] prompts = [.. "abcd".Select(letter => new Prompt([ChatMessage.User(letter.ToString())], null, default))];
        // The judge likes the first token of the answer; the prompt's letter stands third.
        using var ours = new FakeScorer { Answer = prompt => prompt.Contains('a') || prompt.Contains('b') ? Bytes("99") : Bytes("55"), Judge = request => Each(request, -1) };
        using var theirs = new FakeScorer { Answer = prompt => prompt.Contains('c') ? Bytes("7777") : Bytes("5"), Judge = request => Each(request, -3) };
        using var judge = new FakeJudge(row => row.Max(id => id is >= '0' and <= '9' ? id : 0));
        var result = WinRateTask.Run(prompts, ours, theirs, judge, _tokenizer, _template, new GenerationSettings(4, new Core.Sampling.SamplingParameters()));
        // Two wins, one loss, one tie.
        Assert.Equal(2.5 / 4, result.Metrics["win_rate"]);
        Assert.Equal(2, result.Metrics["length"]);
        // Single tokens 9 and 5 of eight; pairs 99, 99, 55, 55, of which two of four differ; no three in a row.
        Assert.Equal(0.25, result.Metrics["distinct_1"]);
        Assert.Equal(0.5, result.Metrics["distinct_2"]);
        Assert.Equal(0, result.Metrics["distinct_3"]);
        Assert.Equal(1, result.Metrics["ended"]);
        Assert.Equal(0.75, result.Metrics["ended_against"]);
        // Two tokens and the end of the answer, each 2 nats likelier by ours.
        Assert.Equal(2, result.Metrics["divergence_per_token"], 1e-6);
        Assert.Equal(6, result.Metrics["divergence"], 1e-6);
        Assert.All(ours.Requests, request => Assert.Equal(_template.StopTokenIds.First(), request.Continuation[^1]));

        static ScoredContinuation Each(ScoringRequest request, float logProb) => new([.. request.Continuation.Select(_ => logProb)], false);
    }

    [Fact]
    public void A_judge_that_gives_no_number_is_told_with_file_and_line_and_no_side_wins()
    {
        Prompt[] prompts = [new([ChatMessage.User("a")], null, new RecordOrigin("asked.jsonl", 4))];
        using var same = new FakeScorer { Answer = _ => Bytes("5"), Judge = request => Sum(-1) };
        using var judge = new FakeJudge(_ => double.NaN);
        Assert.StartsWith("asked.jsonl:4: the reward model gives NaN", Assert.Throws<InvalidDataException>(() =>
            WinRateTask.Run(prompts, same, same, judge, _tokenizer, _template, new GenerationSettings(4, new Core.Sampling.SamplingParameters()))).Message, StringComparison.Ordinal);
        PreferencePair[] pairs = [new([ChatMessage.User("a")], ChatMessage.Assistant("b"), ChatMessage.Assistant("c"), new RecordOrigin("pairs.jsonl", 9))];
        Assert.StartsWith("pairs.jsonl:9: the reward model gives NaN", Assert.Throws<InvalidDataException>(() => PreferenceTask.Run(pairs, judge, _template)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Answers_that_are_too_long_for_the_judge_are_cut_and_counted()
    {
        Prompt[] prompts = [.. "ab".Select(letter => new Prompt([ChatMessage.User(letter.ToString())], null, default))];
        int room = _template.EncodePrompt(prompts[0].Messages).Length + 3;
        // Two tokens and the end of the answer fit, three and the end do not.
        using var ours = new FakeScorer { Answer = prompt => prompt.Contains('a') ? Bytes("123") : Bytes("12"), Judge = request => Sum(-1) };
        using var judge = new FakeJudge(row => row.Length) { ContextLength = room };
        var result = WinRateTask.Run(prompts, ours, ours, judge, _tokenizer, _template, new GenerationSettings(4, new Core.Sampling.SamplingParameters()));
        Assert.Equal(2, result.Metrics["cut_for_judge"]);
        Assert.Equal(room, result.Metrics["score"]);
    }

    private static ChoiceOption Option(string text) => new("Q:", " " + text, text);

    private static ScoredContinuation Sum(float sum) => new([sum], false);

    private static int[] Bytes(string text) => [.. System.Text.Encoding.UTF8.GetBytes(text).Select(value => (int)value)];

    private PairEncoding Encoding(int contextLength) => new(_tokenizer, _package.Config, contextLength);

    private TaskResult Choices(IReadOnlyList<ChoiceItem> items, Func<ScoringRequest, ScoredContinuation> judge)
    {
        using var scorer = new FakeScorer { Judge = judge };
        return ChoiceTask.Run(items, scorer, Encoding(64));
    }
}
