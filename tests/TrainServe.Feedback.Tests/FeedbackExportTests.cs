using TrainServe.Core.Chat;
using TrainServe.Core.Data;
using TrainServe.Feedback.Training;
using TrainServe.TestSupport;

namespace TrainServe.Feedback.Tests;

public sealed class FeedbackExportTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public void An_edit_is_better_than_what_it_corrects_and_worth_imitating()
    {
        var exported = Make((Answers.Make("a", "2 + 2?", "5"), [Answers.Say("a", rating: Rating.Up, edit: "4")]));
        Assert.Equal(["4 > 5 by Edit"], Pairs(exported));
        // The text that was corrected is not imitated, whatever else was said of it.
        Assert.Equal(["4 by Edit"], Imitable(exported));
    }

    [Fact]
    public void A_choice_between_two_answers_is_a_pair_also_across_responses()
    {
        var exported = Make(
            (Answers.Make("a", "p", "one", "two"), [Answers.Say("a", 1, over: ("a", 0))]),
            (Answers.Make("b", "p", "three").With(minute: 1), [Answers.Say("b", over: ("a", 1))]));
        Assert.Equal(["two > one by Preference", "three > two by Preference"], Pairs(exported));
        Assert.Empty(Imitable(exported));
    }

    [Fact]
    public void Scores_and_thumbs_compare_answers_to_one_prompt_and_never_across_prompts()
    {
        var exported = Make(
            (Answers.Make("a", "p", "best", "middling", "bad"), [Answers.Say("a", 0, score: 5), Answers.Say("a", 1, score: 3), Answers.Say("a", 2, score: 1)]),
            (Answers.Make("b", "q", "liked", "disliked"), [Answers.Say("b", 0, Rating.Up), Answers.Say("b", 1, Rating.Down)]),
            (Answers.Make("c", "r", "disliked too"), [Answers.Say("c", 0, Rating.Down)]));
        Assert.Equal(["best > middling by Score 2", "best > bad by Score 4", "middling > bad by Score 2", "liked > disliked by Rating"], Pairs(exported));
        Assert.Equal(["best by Score", "liked by Rating"], Imitable(exported));
        Assert.Equal((3, 6), (exported.Report.Answers, exported.Report.Entries));
        Assert.Equal("""
            6 pieces of feedback on 3 answers
            preference pairs: 4 (3 by score, 1 by rating)
            conversations: 2 (1 by score, 1 by rating)

            """, exported.Report.ToText());
    }

    [Fact]
    public void What_several_reasons_say_is_one_pair_under_the_strongest_with_the_margin_of_the_scores()
    {
        var exported = Make((Answers.Make("a", "p", "one", "two"), [Answers.Say("a", 0, Rating.Up, 4), Answers.Say("a", 1, Rating.Down, 1), Answers.Say("a", 0, over: ("a", 1))]));
        Assert.Equal(["one > two by Preference 3"], Pairs(exported));
    }

    [Fact]
    public void Contradictions_are_left_out_and_counted()
    {
        var exported = Make(
            (Answers.Make("a", "p", "one", "two"), [Answers.Say("a", 0, over: ("a", 1)), Answers.Say("a", 1, score: 5), Answers.Say("a", 0, score: 2)]),
            (Answers.Make("b", "q", "same"), [Answers.Say("b", rating: Rating.Up)]),
            (Answers.Make("c", "q", " same ", "other").With(minute: 1), [Answers.Say("c", rating: Rating.Down), Answers.Say("c", 1, rating: Rating.Up)]));
        Assert.Empty(Pairs(exported));
        // The score of 5 stands by itself; the text that is liked and disliked goes.
        Assert.Equal(["two by Score", "other by Rating"], Imitable(exported));
        Assert.Equal(2, exported.Report.LeftOut["contradictory: each is said to be better than the other"]);
        Assert.Equal(1, exported.Report.LeftOut["contradictory: up and down for one text"]);
    }

    [Fact]
    public void What_nothing_can_be_learned_from_is_left_out_with_the_reason()
    {
        var broken = new StoredAnswer
        {
            Id = "d", Key = "ann", Model = "tiny", ModelVersion = "v1", Created = Answers.Start, Sampling = new AnswerSampling(),
            Prompt = [ChatMessage.User("one"), ChatMessage.User("two")], Choices = [new StoredChoice(ChatMessage.Assistant("x"), "stop")],
        };
        var exported = Make(
            (Answers.Make("a", "p", "equal", "equal"), [Answers.Say("a", 0, over: ("a", 1))]),
            (Answers.Make("b", "q", "cut o").With(finishReason: "length"), [Answers.Say("b", rating: Rating.Up)]),
            (Answers.Make("c", "r", "x"), [Answers.Say("c", over: ("gone", 0))]),
            (broken, [Answers.Say("d", rating: Rating.Up)]),
            (Answers.Make("e", "s", "x", ""), [Answers.Say("e", over: ("e", 1))]));
        Assert.Empty(exported.Preferences);
        Assert.Empty(exported.Conversations);
        Assert.Equal(
            ["both texts are equal", "the answer compared with is of another model or time", "the better answer was cut off by the limit of tokens",
                "the conversation breaks the order of roles at message 2: user follows user", "the conversation has a message 3 that is an empty turn of the assistant"],
            exported.Report.LeftOut.Keys);
        Assert.All(exported.Report.LeftOut.Values, count => Assert.Equal(1, count));
        Assert.Contains("left out, 1: both texts are equal\n", exported.Report.ToText(), StringComparison.Ordinal);
    }

    [Fact]
    public void The_trainers_readers_take_what_is_written()
    {
        var call = ChatMessage.Assistant("") with { ToolCalls = [new ToolCall("call_1", "weather", """{"city":"Köln"}""")] };
        var answer = new StoredAnswer
        {
            Id = "a", Key = "", Model = "tiny", ModelVersion = "v1", Created = Answers.Start, Sampling = new AnswerSampling(),
            Prompt = [ChatMessage.System("Tools."), ChatMessage.User("Warm? \u2028 \"yes\"")],
            Choices = [new StoredChoice(call, "tool_calls"), new StoredChoice(ChatMessage.Assistant("No idea."), "stop")],
        };
        var exported = Make(
            (answer, [Answers.Say("a", 0, Rating.Up, 5), Answers.Say("a", 1, Rating.Down, 2)]),
            (Answers.Make("b", "2 + 2?", "5"), [Answers.Say("b", edit: "4")]));
        string[] files = [.. exported.Write(_directory.FullName).Select(path => Path.GetFileName(path)!)];
        Assert.Equal([ExportedFeedback.PreferencesFile, ExportedFeedback.ConversationsFile, ExportedFeedback.ReportFile], files);

        var pairs = PreferenceReader.Read(_directory.PathOf(ExportedFeedback.PreferencesFile), BadRecords.Strict()).ToList();
        Assert.Equal([3, 0], pairs.Select(pair => pair.Margin));
        Assert.Equal(("""{"city":"Köln"}""", "No idea.", "Warm? \u2028 \"yes\""), (pairs[0].Chosen.ToolCalls![0].Arguments, pairs[0].Rejected.Content, pairs[0].Prompt[1].Content));
        Assert.Equal(("4", "5"), (pairs[1].Chosen.Content, pairs[1].Rejected.Content));
        var conversations = ConversationReader.Read(_directory.PathOf(ExportedFeedback.ConversationsFile), BadRecords.Strict()).ToList();
        Assert.Equal([call.ToolCalls![0].Name, null], conversations.Select(item => item.Messages[^1].ToolCalls?[0].Name));
        Assert.Equal("4", conversations[1].Messages[^1].Content);

        // An export with nothing takes the old files away, so that nobody trains on them.
        Assert.Equal([ExportedFeedback.ReportFile], Make().Write(_directory.FullName).Select(path => Path.GetFileName(path)!));
        Assert.False(File.Exists(_directory.PathOf(ExportedFeedback.PreferencesFile)));
    }

    private static ExportedFeedback Make(params (StoredAnswer Answer, FeedbackEntry[] Entries)[] answers) =>
        FeedbackExport.Make([.. answers.Select(item => new JudgedAnswer(item.Answer, item.Entries))]);

    private static IEnumerable<string> Pairs(ExportedFeedback exported) =>
        exported.Preferences.Select(pair => $"{pair.Chosen.Content} > {pair.Rejected.Content} by {pair.Reason}{(pair.Margin is { } margin ? $" {margin}" : "")}");

    private static IEnumerable<string> Imitable(ExportedFeedback exported) => exported.Conversations.Select(item => $"{item.Messages[^1].Content} by {item.Reason}");
}
