using TrainServe.Core;
using TrainServe.Core.Chat;
using TrainServe.Core.Data;
using TrainServe.Core.Scoring;
using TrainServe.Training.Recipes;
using TrainServe.Training.Reinforcement.Rewards;

namespace TrainServe.Training.Tests.Reinforcement;

public sealed class RewardFunctionTests
{
    [Theory]
    [InlineData("42", 42)]
    [InlineData("The answer is -734.", -734)]
    [InlineData("= −5", -5)]
    [InlineData("5-3", 3)]
    [InlineData("x-3", 3)]
    [InlineData("5 - -3", -3)]
    [InlineData("1,234,567 sheep", 1234567)]
    [InlineData("1,2 and 3,4567", 4567)]
    [InlineData("it costs $1,050.50!", 1050.50)]
    [InlineData("-$7", -7)]
    [InlineData("3.14159", 3.14159)]
    [InlineData("007", 7)]
    [InlineData("2.50", 2.5)]
    [InlineData("10%", 10)]
    [InlineData("48/2 = <<48/2=24>>24 and so 72\n#### 72 of 100", 72)]
    [InlineData("#### 1,000", 1000)]
    public void The_last_number_of_a_text_is_found(string text, double expected) => Assert.Equal((decimal)expected, NumberText.Last(text));

    [Theory]
    [InlineData("")]
    [InlineData("none at all")]
    [InlineData("- , .")]
    public void A_text_without_a_number_has_none(string text) => Assert.Null(NumberText.Last(text));

    [Theory]
    [InlineData("25-759=", -734)]
    [InlineData("What is 12 + 3 * 4?", 24)]
    [InlineData("5*93*58=", 26970)]
    [InlineData("-3+4=", 1)]
    [InlineData("225 - 459 - 603 =", -837)]
    [InlineData("2*3-4*5=", -14)]
    public void An_expression_has_its_value(string text, double expected) => Assert.Equal((decimal)expected, ArithmeticText.Value(text));

    [Theory]
    [InlineData("What is 12?")]
    [InlineData("12 + ?")]
    [InlineData("12 + + 3")]
    [InlineData("sum")]
    public void What_is_no_expression_has_no_value(string text) => Assert.Null(ArithmeticText.Value(text));

    [Theory]
    [InlineData(RewardKind.Exact, null, "  Moo \n moo ", 1)]
    [InlineData(RewardKind.Exact, null, "Moo", 0)]
    [InlineData(RewardKind.Number, null, "I say 12", 0)]
    [InlineData(RewardKind.Format, "[a-z ]+", "only small letters", 1)]
    [InlineData(RewardKind.Format, "[a-z ]+", "only small letters!", 0)]
    public void A_reward_is_1_where_its_rule_holds(RewardKind kind, string? pattern, string answer, double expected)
    {
        var reward = RewardFunctions.Of(new RewardFunctionSection { Kind = kind, Pattern = pattern });
        string reference = kind == RewardKind.Number ? "13" : "Moo moo";
        Assert.Equal(expected, reward.Judge(new Prompt([ChatMessage.User("?")], reference, default), answer));
    }

    [Fact]
    public void A_sum_is_judged_by_what_it_comes_to()
    {
        var reward = RewardFunctions.Of(new RewardFunctionSection { Kind = RewardKind.Arithmetic });
        var prompt = new Prompt([ChatMessage.User("17+25=")], null, default);
        Assert.Equal(1, reward.Judge(prompt, "42"));
        Assert.Equal(0, reward.Judge(prompt, "24"));
        Assert.Equal(0, reward.Judge(prompt, ""));
    }

    [Fact]
    public void A_pattern_that_is_none_is_refused_with_the_reason() => Assert.Contains("the pattern '(' is no regular expression",
        Assert.Throws<RecipeException>(() => RewardFunctions.Of(new RewardFunctionSection { Kind = RewardKind.Format, Pattern = "(" })).Message, StringComparison.Ordinal);

    [Fact]
    public void A_reward_that_throws_stops_the_run_with_file_and_line_or_is_counted()
    {
        var prompt = new Prompt([ChatMessage.User("?")], null, new RecordOrigin("sums.jsonl", 7));
        RewardFunction[] functions = [RewardFunctions.Of(new RewardFunctionSection { Kind = RewardKind.Number }), new("broken", 1, (_, _) => throw new FormatException("broken inside")), new("endless", 1, (_, _) => double.NaN)];
        Assert.StartsWith("sums.jsonl:7: the reward number cannot judge an answer: the record has no reference answer.",
            Assert.Throws<InvalidDataException>(() => new RewardSum(functions, RewardErrorRule.Stop).Judge(prompt, "1")).Message, StringComparison.Ordinal);
        var lenient = new RewardSum(functions, RewardErrorRule.Zero);
        Assert.Equal([0, 0, 0], lenient.Judge(prompt, "1"));
        Assert.Equal(3, lenient.Errors);
    }
}
