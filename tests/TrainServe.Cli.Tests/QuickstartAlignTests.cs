using System.Text.Json;
using TrainServe.Cli.Quickstart;
using TrainServe.Evaluation.Metrics;
using TrainServe.TestSupport;
using TrainServe.Training.Data.SmallWorld;

namespace TrainServe.Cli.Tests;

/// <summary>Alignment after the quickstart, in miniature.</summary>
public sealed class QuickstartAlignTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData("ppo")]
    [InlineData("dpo")]
    [Trait("Category", "Slow")]
    public async Task A_quickstart_is_aligned_and_shows_before_and_after(string method)
    {
        var result = await QuickstartAsync("--align", method);
        Assert.True(result.ExitCode == 0, result.Error);
        foreach (string part in (string[])["reward: ", "judge: ", $"{method}: ", "align_evaluate: ", "true answers about stories", "harmless requests refused", "the judge prefers the answer after", "after:  "])
        {
            Assert.Contains(part, result.Output, StringComparison.Ordinal);
        }
        using var report = JsonDocument.Parse(await File.ReadAllBytesAsync(_directory.PathOf("out", "report.json")));
        var found = report.RootElement.GetProperty("alignment");
        foreach (string side in (string[])["before", "after"])
        {
            foreach (string rate in (string[])["true_answers", "kindness", "refusal", "over_refusal"])
            {
                Assert.InRange(found.GetProperty(side).GetProperty(rate).GetDouble(), 0, 1);
            }
        }
        Assert.Equal(report.RootElement.GetProperty("small_world_accuracy").GetDouble(), found.GetProperty("before").GetProperty("true_answers").GetDouble(), 1e-12);
        Assert.InRange(found.GetProperty("win_rate").GetDouble(), 0, 1);
        Assert.Equal(3, found.GetProperty("samples").GetArrayLength());
        // Both are served from one directory.
        Assert.True(File.Exists(_directory.PathOf("out", "models", "quickstart-aligned", "onnx", "fp32", "model.onnx")));
        // Nothing is done twice; another method is refused.
        Assert.DoesNotContain("reward: ", (await QuickstartAsync("--align", method, "--resume")).Output, StringComparison.Ordinal);
        var other = await QuickstartAsync("--align", method == "ppo" ? "dpo" : "ppo", "--resume");
        Assert.Equal(2, other.ExitCode);
        Assert.Contains($"was begun with --align {method}", other.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_method_that_there_is_not_and_a_text_without_preferences_are_refused()
    {
        var unknown = await QuickstartAsync("--align", "magic");
        Assert.Equal(2, unknown.ExitCode);
        Assert.Contains("--align takes ppo or dpo", unknown.Error, StringComparison.Ordinal);
        var own = await QuickstartAsync("--align", "--data", _directory.WriteText("t.txt", "Once upon a time."));
        Assert.Equal(2, own.ExitCode);
        Assert.Contains("--align needs the small world", own.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void The_judge_and_the_reward_model_share_no_question_and_twelve_minutes_become_twenty()
    {
        var plan = new QuickstartPlan { Align = AlignmentMethod.Ppo }.Alignment!;
        Assert.Equal(plan.Reward.Data.PartTo, plan.Judge.Data.PartFrom);
        Assert.Equal((0, 1), (plan.Reward.Data.PartFrom, plan.Judge.Data.PartTo));
        Assert.Equal(plan.Reward.Data.PartTo, plan.Ppo.Data.PartTo);
        Assert.Equal(8, plan.Minutes, 1e-9);
        Assert.Null(new QuickstartPlan().Alignment);
    }

    [Fact]
    public void Rates_stand_side_by_side()
    {
        FamilyScore Family(double score, double refused, bool needsStory, int questions = 10) => new(questions, score, refused, needsStory, 0, 0);
        var families = new Dictionary<string, FamilyScore>(StringComparer.Ordinal)
        {
            ["where_held"] = Family(0.8, 0, needsStory: true),
            ["comfort"] = Family(1, 0, needsStory: false, questions: 30),
            ["manners"] = Family(0.2, 0, needsStory: false),
            ["harmful"] = Family(1, 0.95, needsStory: false),
            ["harmless"] = Family(1, 0.05, needsStory: false),
        };
        var before = AlignmentScores.Of(families, reward: -1.5, length: 12);
        // 30 questions of 1 and 10 of 0.2.
        Assert.Equal(new AlignmentScores(0.8, 0.8, 0.95, 0.05, -1.5, 12), before with { Kindness = Math.Round(before.Kindness, 12) });
        var report = new AlignmentReport
        {
            Model = "m",
            Method = AlignmentMethod.Ppo,
            RewardAccuracy = 0.9,
            Before = before,
            After = before with { TrueAnswers = 0.9, Reward = 2 },
            WinRate = 0.75,
            WinRateInterval = new Interval(0.7, 0.8),
            KlPerAnswer = 1.25,
            KlPerToken = 0.125,
            Samples = [new AlignedSample("Who are you?", "Find out yourself.", "I am a small model.", [])],
        };
        string[] lines = [.. AlignmentText.Of(report)];
        Assert.Equal("  true answers about stories            80.0 %    90.0 %", lines[1]);
        Assert.Equal("  the judge's mean score                 -1.50      2.00", lines[5]);
        Assert.Contains(lines, line => line.Contains("75 % [70 %, 80 %]; divergence 1.25 nats an answer, 0.125 a token", StringComparison.Ordinal));
        Assert.Equal("    after:  I am a small model.", lines[^1]);
    }

    private Task<ConsoleResult> QuickstartAsync(params string[] more) => ConsoleHost.RunAsync(["quickstart", "--minutes", "0.1", "--output", _directory.PathOf("out"), .. more]);
}
