using TrainServe.Core.Chat;
using TrainServe.Core.Data;
using TrainServe.Core.Packaging;
using TrainServe.Evaluation.Baselines;
using TrainServe.Evaluation.Metrics;
using TrainServe.Evaluation.Tasks;
using TrainServe.TestSupport;

namespace TrainServe.Evaluation.Tests;

/// <summary>What a reward model is compared with: a model of words, and what it may remember.</summary>
public sealed class PreferenceFindingsTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public void Two_clusters_that_differ_wholly_leave_everything_open()
    {
        // Drawn with replacement, both clusters are the first one in a quarter of the draws and the second in another quarter: the means are 1, 0 and -1.
        var interval = PairedBootstrap.Of([1, -1], ["a", "b"]);
        Assert.Equal(-1, interval.Low);
        Assert.Equal(1, interval.High);
    }

    [Fact]
    public void Differences_that_are_all_the_same_have_no_spread()
    {
        var interval = PairedBootstrap.Of([0.25, 0.25, 0.25], ["a", "b", "c"]);
        Assert.Equal(new Interval(0.25, 0.25), interval);
    }

    [Fact]
    public void Pairs_of_one_prompt_are_drawn_together()
    {
        // Forty pairs of two prompts: as if there were two observations, not forty.
        double[] differences = [.. Enumerable.Repeat(1.0, 20), .. Enumerable.Repeat(0.0, 20)];
        var together = PairedBootstrap.Of(differences, [.. Enumerable.Range(0, 40).Select(i => i < 20 ? "a" : "b")]);
        Assert.Equal(new Interval(0, 1), together);
        var apart = PairedBootstrap.Of(differences, [.. Enumerable.Range(0, 40).Select(i => $"{i}")]);
        // 0.5 -+ 1.96 * sqrt(0.25 / 40) = 0.5 -+ 0.155
        Assert.Equal(0.345, apart.Low, 0.03);
        Assert.Equal(0.655, apart.High, 0.03);
    }

    [Fact]
    public void The_middle_of_two_groups_does_not_depend_on_how_many_each_has()
    {
        // The small group is all 0, the large one all 1, in prompts of both: 0.5 whatever is drawn.
        Assert.Equal(new Interval(0.5, 0.5), PairedBootstrap.Of([1, 1, 1, 0, 1, 0], ["a", "a", "a", "a", "b", "b"], [false, false, false, true, false, true]));
        // A prompt of each group: both are drawn in half of the draws, one alone in a quarter each.
        Assert.Equal(new Interval(0, 1), PairedBootstrap.Of([1, 0], ["a", "b"], [false, true]));
    }

    [Fact]
    public void Words_are_lower_case_and_marks_stand_alone() =>
        Assert.Equal(["she", "can't", "\"", "no", "\"", "!"], NGramPreferenceModel.Words("She can't \"No\"!"));

    [Fact]
    public void The_model_of_words_learns_which_words_are_better_and_knows_nothing_of_others()
    {
        var pairs = Enumerable.Range(0, 20).Select(i => Pair($"q{i}", $"a kind word {i}", $"a rude word {i}")).ToList();
        var model = NGramPreferenceModel.Train(pairs);
        Assert.True(model.Score("kind") > 0);
        Assert.True(model.Score("rude") < 0);
        // What both answers hold has no weight, and what was in no pair neither.
        Assert.Equal(0, model.Score("a word"), 1e-9);
        Assert.Equal(0, model.Score("purple elephants"));
    }

    [Fact]
    public void Neighbours_tell_what_words_alone_do_not()
    {
        var pairs = Enumerable.Range(0, 20).Select(i => Pair($"q{i}", "dog bites man", "man bites dog")).ToList();
        var model = NGramPreferenceModel.Train(pairs);
        Assert.True(model.Score("dog bites") > model.Score("bites dog"));
    }

    [Fact]
    public void The_gain_over_the_model_of_words_is_paired()
    {
        // Right by both, by the reward model alone twice, by the words alone: (0 + 1 + 1 - 1) / 4.
        PairFinding[] findings = [Found("a", 1, 1), Found("b", 1, -1), Found("c", 1, 0), Found("d", -1, 1)];
        var result = PreferenceTask.Of(findings, 0);
        Assert.Equal(0.75, result.Metrics["accuracy"]);
        Assert.Equal(0.5, result.Metrics["baseline"]);
        Assert.Equal(0.25, result.Metrics["above_baseline"]);
        Assert.Contains("above_baseline", result.Intervals.Keys);
    }

    [Fact]
    public void What_length_alone_explains_is_no_gain_over_the_model_of_words()
    {
        // Three pairs whose better answer is longer, right by both; the short one is right by the reward model alone: (3 * 0 / 3 + 1) / 2.
        PairFinding[] findings = [Longer("a"), Longer("b"), Longer("c"), Found("d", 1, -1)];
        var result = PreferenceTask.Of(findings, 0);
        Assert.Equal(0.25, result.Metrics["above_baseline"]);
        Assert.Equal(0.5, result.Metrics["baseline_length_balanced"], 1e-12);
        Assert.Equal(0.5, result.Metrics["above_baseline_length_balanced"], 1e-12);
        Assert.Equal(1, result.Metrics["accuracy_length_balanced"], 1e-12);

        static PairFinding Longer(string prompt) => new(prompt, 1, IsLonger: true) { Baseline = 1 };
    }

    [Fact]
    public void Where_prompts_have_several_pairs_the_interval_is_over_prompts()
    {
        // Two prompts of twenty pairs, one all right, one all wrong: nothing is known. Of forty prompts it would be Wilson's interval.
        var together = PreferenceTask.Of([.. Enumerable.Range(0, 40).Select(i => new PairFinding(i < 20 ? "a" : "b", i < 20 ? 1 : -1, IsLonger: false))], 0);
        Assert.Equal(2, together.Metrics["prompts"]);
        Assert.Equal(new Interval(0, 1), together.Intervals["accuracy"]);
        var apart = PreferenceTask.Of([.. Enumerable.Range(0, 40).Select(i => new PairFinding($"{i}", i < 20 ? 1 : -1, IsLonger: false))], 0);
        Assert.Equal(Interval.Wilson(20, 40), apart.Intervals["accuracy"]);
    }

    [Fact]
    public void Pairs_that_are_too_long_for_the_reward_model_are_counted_and_without_any_other_there_is_no_result()
    {
        var package = TinyPackages.Write(_directory.PathOf("model"));
        var template = package.LoadChatTemplate(package.LoadTokenizer());
        PreferencePair[] pairs = [Pair("p", "yes", "no"), Pair("q", "yes", new string('n', 100)), Pair("r", new string('y', 100), "no")];
        using var judge = new FakeJudge(row => row.Length) { ContextLength = 50 };
        var result = PreferenceTask.Run(pairs, judge, template);
        Assert.Equal(1, result.Count);
        Assert.Equal(2, result.Metrics["over_long"]);
        Assert.Contains("Of 2 pairs none fits the reward model's context of 50 tokens", Assert.Throws<InvalidDataException>(() => PreferenceTask.Run(pairs[1..], judge, template)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Pairs_that_the_model_has_read_before_are_counted_apart()
    {
        var package = TinyPackages.Write(_directory.PathOf("model"));
        var template = package.LoadChatTemplate(package.LoadTokenizer());
        var seen = new SeenTexts([new Document("Once the cat\n sat on  the mat. End.", default)]);
        PreferencePair[] pairs = [Pair("p", "the cat sat on the mat", "x"), Pair("q", "the dog sat", "xx"), Pair("r", "the cow", "yyyyyyyyyy")];
        // The judge likes what is longer.
        using var judge = new FakeJudge(row => row.Length);
        var result = PreferenceTask.Run(pairs, judge, template, new PreferenceSettings { Seen = seen });
        Assert.Equal(1, result.Metrics["contaminated_pairs"]);
        Assert.Equal(1, result.Metrics["accuracy_contaminated"]);
        Assert.Equal(2, result.Metrics["clean_pairs"]);
        Assert.Equal(0.5, result.Metrics["accuracy_clean"]);
    }

    [Fact]
    [Trait("Category", "Slow")]
    public void The_model_of_words_reaches_what_others_measured_on_the_small_stories()
    {
        var pairs = PreferenceReader.Read(SharedData.File("prefs/tinystories-pairs.jsonl.gz"), BadRecords.Strict()).ToList();
        var model = NGramPreferenceModel.Train(pairs[..2376]);
        double accuracy = pairs[2376..].Average(pair => model.Score(pair.Chosen.Content) > model.Score(pair.Rejected.Content) ? 1.0 : 0);
        Assert.InRange(accuracy, 0.85, 0.97);
        TestContext.Current.TestOutputHelper?.WriteLine($"accuracy {accuracy}, {model.FeatureCount} features");
    }

    private static PairFinding Found(string prompt, double difference, double baseline) => new(prompt, difference, IsLonger: false) { Baseline = baseline };

    private static PreferencePair Pair(string prompt, string chosen, string rejected) => new([ChatMessage.User(prompt)], ChatMessage.Assistant(chosen), ChatMessage.Assistant(rejected), default);
}
