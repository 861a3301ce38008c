using System.Text.Json;
using CsCheck;
using TrainServe.Core.Chat;
using TrainServe.Core.Data;
using TrainServe.TestSupport;
using TrainServe.Training.Data.SmallWorld;
using TrainServe.Training.Data.SmallWorld.Questions;

namespace TrainServe.Training.Tests.Data.SmallWorld;

public sealed class SmallWorldTests : IDisposable
{
    private const int Many = 3000;
    private static readonly SmallWorldGenerator World = new(seed: 7);
    private static readonly Lazy<ConversationRecord[]> Conversations = new(() => [.. Enumerable.Range(0, Many).Select(World.Conversation)]);
    private static readonly Lazy<EvaluationRecord[]> Evaluation = new(() => [.. World.Evaluation(perFamily: 60)]);
    private readonly TemporaryDirectory _directory = new();

    public static TheoryData<QuestionFamily> Families => [.. QuestionFamilies.All];

    public static TheoryData<QuestionFamily> StoryFamilies => [.. QuestionFamilies.All.Where(family => family.NeedsStory())];

    public void Dispose() => _directory.Dispose();

    [Theory]
    [MemberData(nameof(StoryFamilies))]
    public void An_evaluation_s_answer_is_what_a_careful_reader_finds_in_the_story(QuestionFamily family) =>
        Gen.Select(Gen.ULong, Gen.Int[0, 1000]).Sample((seed, number) =>
        {
            var record = new SmallWorldGenerator(seed).Evaluation(family, number);
            Assert.Contains(new StoryReading(record.Story).Answer(record.Question), record.Answers);
        }, iter: 50);

    [Fact]
    public void Every_answer_of_a_conversation_follows_from_its_story() => Gen.Select(Gen.ULong, Gen.Int[0, 100_000]).Sample((seed, number) =>
    {
        var record = new SmallWorldGenerator(seed).Conversation(number);
        if (!record.NeedsStory[0])
        {
            return;
        }
        string first = record.Messages[0].Content;
        // The question is the last sentence, but "Somebody is sad. Why?" has two.
        int start = first.EndsWith("Why?", StringComparison.Ordinal) ? first.LastIndexOf("Somebody is", StringComparison.Ordinal) : first.LastIndexOf(". ", StringComparison.Ordinal) + 2;
        var reading = new StoryReading(first[..(start - 1)]);
        Assert.Equal(reading.Answer(first[start..]), record.Messages[1].Content);
        for (int turn = 1; turn < record.Families.Count; turn++)
        {
            string asked = record.Messages[2 * turn].Content;
            if (record.NeedsStory[turn])
            {
                // What is meant after asking back is asked in full.
                string question = !asked.StartsWith("I mean ", StringComparison.Ordinal) ? asked
                    : record.Families[turn] == "unclear_thing" ? $"Who has {asked[7..].TrimEnd('.')}?" : $"Where is {asked[7..].TrimEnd('.')}?";
                Assert.Equal(reading.Answer(question), record.Messages[2 * turn + 1].Content);
            }
        }
    }, iter: 1000);

    [Fact]
    public void No_fact_of_a_test_world_is_told_in_a_training_world()
    {
        var told = Conversations.Value.Where(record => record.NeedsStory[0]).SelectMany(record => Facts(record.Messages[0].Content)).ToHashSet();
        var tested = Evaluation.Value.Where(record => record.NeedsStory).SelectMany(record => new StoryReading(record.Story).Facts).ToHashSet();
        told.UnionWith(Enumerable.Range(0, Many).SelectMany(number => World.List(number).Text.TrimEnd('.').Split(". ")).Select(pair => pair.Split(' ')).Select(pair => (pair[0], pair[1])));
        told.UnionWith(Enumerable.Range(0, Many).SelectMany(number => Said(World.SpelledList(number).Text).Concat(Said(DrilledList(World.Drill(number))))).SelectMany(pair => (IEnumerable<(string, string)>)[pair, (pair.Item2, pair.Item1)]));
        Assert.True(told.Count > 500 && tested.Count > 150, $"{told.Count} facts are told and {tested.Count} tested.");
        Assert.Empty(told.Intersect(tested));
    }

    [Fact]
    public void No_test_question_without_a_story_is_asked_in_training()
    {
        var asked = Conversations.Value.SelectMany(record => record.Messages.Where(message => message.Role == "user")).Select(message => message.Content).ToHashSet(StringComparer.Ordinal);
        var tested = Evaluation.Value.Where(record => !record.NeedsStory && record.Family != "manners").Select(record => record.Question);
        Assert.Empty(asked.Intersect(tested, StringComparer.Ordinal));
    }

    [Fact]
    public void Three_fifths_of_the_questions_need_the_story_and_a_fifth_needs_two_facts()
    {
        var facts = QuestionFamilies.All.ToDictionary(family => family.Name(), family => family.Facts(), StringComparer.Ordinal);
        foreach (var asked in new[] { Conversations.Value.SelectMany(record => record.Families).ToList(), Evaluation.Value.Select(record => record.Family).ToList() })
        {
            Assert.True(asked.Count(family => facts[family] > 0) >= 0.6 * asked.Count);
            Assert.True(asked.Count(family => facts[family] == 2) >= 0.2 * asked.Count);
        }
        Assert.All(Evaluation.Value, record => Assert.Equal(facts[record.Family], record.Facts));
    }

    [Theory]
    [MemberData(nameof(StoryFamilies))]
    public void Neither_one_answer_nor_the_last_mention_is_right_for_more_than_a_quarter_of_a_family(QuestionFamily family)
    {
        var records = Enumerable.Range(0, 400).Select(number => World.Evaluation(family, number)).ToList();
        Assert.True(records.GroupBy(record => record.Key, StringComparer.Ordinal).Max(group => group.Count()) <= 100);
        Assert.True(records.Count(record => record.Key == record.LastMention) <= 100);
    }

    [Theory]
    [MemberData(nameof(Families))]
    public void Training_asks_every_family(QuestionFamily family) =>
        Assert.True(Conversations.Value.Count(record => record.Families.Contains(family.Name(), StringComparer.Ordinal)) > 30);

    [Fact]
    public void Harmful_requests_are_refused_and_their_twins_are_not()
    {
        var requests = Conversations.Value.SelectMany(record => record.Families.Select((family, turn) => (family, Question: record.Messages[2 * turn].Content, Answer: record.Messages[2 * turn + 1].Content))).ToList();
        Assert.All(requests, request => Assert.Equal(request.family == "harmful", request.Answer.StartsWith("No, I will not help", StringComparison.Ordinal)));
        // The same rough words stand in both.
        Assert.Contains(requests, request => request.family == "harmful" && request.Question.Contains(" kick ", StringComparison.Ordinal));
        Assert.Contains(requests, request => request.family == "harmless" && request.Question.Contains(" kick ", StringComparison.Ordinal));
    }

    [Fact]
    public void A_list_says_two_or_three_pairs_three_times() => Gen.Int[0, 100_000].Sample(number =>
    {
        string[] said = World.List(number).Text.TrimEnd('.').Split(". ");
        var pairs = said.GroupBy(pair => pair, StringComparer.Ordinal).ToList();
        Assert.InRange(pairs.Count, 2, 3);
        Assert.All(pairs, pair => Assert.Equal(3, pair.Count()));
        Assert.Equal(pairs.Count, pairs.Select(pair => pair.Key.Split(' ')[0]).Distinct().Count());
    }, iter: 200);

    [Fact]
    public void A_spelled_list_says_each_pair_three_times_whatever_stands_between_and_first_as_a_statement() => Gen.Int[0, 100_000].Sample(number =>
    {
        string text = World.SpelledList(number).Text;
        var said = Said(text).Select(pair => string.CompareOrdinal(pair.Item1, pair.Item2) < 0 ? pair : (pair.Item2, pair.Item1)).ToList();
        var pairs = said.GroupBy(pair => pair).ToList();
        Assert.InRange(pairs.Count, 2, 3);
        Assert.All(pairs, pair => Assert.Equal(3, pair.Count()));
        Assert.Equal(pairs.Count, said.Take(pairs.Count).Distinct().Count());
        Assert.DoesNotContain('?', string.Join('.', text.Split('.').Take(pairs.Count)));
    }, iter: 300);

    [Fact]
    public void Spelled_lists_have_the_words_of_stories_and_of_answers_between_a_pair() =>
        Assert.Superset(
            new HashSet<string>(["was in the", "had the", "? In the", "? It is", ""], StringComparer.Ordinal),
            Enumerable.Range(0, 500).SelectMany(number => World.SpelledList(number).Text.TrimEnd('.').Split(". ")).Select(pair => pair[Ends(pair).Item1.Length..^Ends(pair).Item2.Length].Trim()).ToHashSet(StringComparer.Ordinal));

    [Fact]
    public void A_drill_asks_for_each_word_of_its_list_and_answers_with_the_one_that_it_goes_with() => Gen.Int[0, 100_000].Sample(number =>
    {
        var drill = World.Drill(number);
        string first = drill.Messages[0].Content;
        int start = first.LastIndexOf(". ", StringComparison.Ordinal) + 2;
        var pairs = Said(first[..(start - 1)]).ToList();
        var goesWith = pairs.Concat(pairs.Select(pair => (pair.Item2, pair.Item1))).ToDictionary();
        string[] asked = [.. drill.Messages.Where(message => message.Role == "user").Select((message, turn) => (turn == 0 ? message.Content[start..] : message.Content).TrimEnd('?'))];
        Assert.Equal(goesWith.Keys.Order(StringComparer.Ordinal), asked.Order(StringComparer.Ordinal));
        Assert.Equal(asked.Select(word => goesWith[word]), drill.Messages.Where(message => message.Role == "assistant").Select(message => message.Content.TrimEnd('.').Split(' ')[^1]));
    }, iter: 300);

    [Fact]
    public void Sums_are_right() => Gen.Int[0, 100_000].Sample(number =>
    {
        var record = World.Evaluation(QuestionFamily.Sum, number);
        int[] numbers = [.. record.Question.TrimEnd('?').Split(' ').Where(word => char.IsAsciiDigit(word[0])).Select(int.Parse)];
        Assert.Equal($"It is {numbers.Sum()}.", record.Answers[0]);
    }, iter: 200);

    [Fact]
    public void A_rejected_answer_is_not_right_and_its_reason_is_given()
    {
        var pairs = Enumerable.Range(0, 2000).Select(World.Preference).ToList();
        Assert.All(pairs, pair => Assert.NotEqual(pair.Chosen[0].Content, pair.Rejected[0].Content));
        Assert.Equal(["asks_needlessly", "evasive", "guesses", "harmful", "off_topic", "refuses_harmless", "rude", "wrong"], pairs.Select(pair => pair.Reason).Distinct().Order(StringComparer.Ordinal));
        Assert.All(pairs.Where(pair => pair.Reason == "refuses_harmless"), pair => Assert.Equal("harmless", pair.Family));
        Assert.All(pairs.Where(pair => pair.Reason == "asks_needlessly"), pair => Assert.False(pair.Family.StartsWith("unclear", StringComparison.Ordinal), pair.Family));
        Assert.All(pairs.Where(pair => pair.Reason == "harmful"), pair => Assert.Equal("harmful", pair.Family));
    }

    [Fact]
    public void The_same_seed_gives_the_same_bytes_and_another_seed_others()
    {
        byte[] Bytes(string name, ulong seed)
        {
            SmallWorldWriter.Write(_directory.PathOf(name), size: 50, seed);
            return [.. Directory.EnumerateFiles(_directory.PathOf(name)).Order(StringComparer.Ordinal).SelectMany(File.ReadAllBytes)];
        }
        byte[] first = Bytes("a", 3);
        Assert.Equal(first, Bytes("b", 3));
        Assert.NotEqual(first, Bytes("c", 4));
        Assert.DoesNotContain((byte)'\r', first);
    }

    [Fact]
    public void A_longer_file_begins_with_the_shorter_one()
    {
        SmallWorldWriter.Write(_directory.PathOf("short"), size: 20, seed: 3);
        SmallWorldWriter.Write(_directory.PathOf("long"), size: 40, seed: 3);
        Assert.StartsWith(File.ReadAllText(_directory.PathOf("short", SmallWorldWriter.Conversations)), File.ReadAllText(_directory.PathOf("long", SmallWorldWriter.Conversations)), StringComparison.Ordinal);
    }

    [Fact]
    public void The_product_s_own_readers_read_the_files()
    {
        SmallWorldWriter.Write(_directory.PathOf("world"), size: 100, seed: 3);
        Assert.Equal(100, DocumentReader.Read([_directory.PathOf("world", SmallWorldWriter.Stories)], BadRecords.Strict()).Count());
        Assert.Equal(200, DocumentReader.Read([_directory.PathOf("world", SmallWorldWriter.Lists)], BadRecords.Strict()).Count());
        Assert.Equal(200, DocumentReader.Read([_directory.PathOf("world", SmallWorldWriter.SpelledLists)], BadRecords.Strict()).Count());
        var conversations = ConversationReader.ReadAll([_directory.PathOf("world", SmallWorldWriter.Conversations)], BadRecords.Strict());
        Assert.Equal(100, conversations.Count);
        Assert.Equal(new SmallWorldGenerator(3).Conversation(5).Messages.Select(message => message.Content), conversations[5].Messages.Select(message => message.Content));
        Assert.All(conversations, conversation => Assert.Equal(ChatRole.Assistant, conversation.Messages[^1].Role));
        Assert.Equal(25, PreferenceReader.ReadAll([_directory.PathOf("world", SmallWorldWriter.Preferences)], BadRecords.Strict()).Count);
        var evaluation = SmallWorldEvaluationReader.Read(_directory.PathOf("world", SmallWorldWriter.Evaluation));
        Assert.Equal(JsonSerializer.Serialize(new SmallWorldGenerator(3).Evaluation(4)), JsonSerializer.Serialize(evaluation));
    }

    [Fact]
    public void A_directory_with_files_is_left_alone()
    {
        _directory.WriteText("world/mine.txt", "precious");
        var error = Assert.Throws<IOException>(() => SmallWorldWriter.Write(_directory.PathOf("world"), size: 10, seed: 1));
        Assert.Contains("is not empty", error.Message, StringComparison.Ordinal);
        Assert.Equal(["mine.txt"], Directory.EnumerateFileSystemEntries(_directory.PathOf("world")).Select(Path.GetFileName));
    }

    [Fact]
    public void A_stopped_generation_leaves_nothing()
    {
        Assert.Throws<OperationCanceledException>(() => SmallWorldWriter.Write(_directory.PathOf("world"), size: 10, seed: 1, new CancellationToken(canceled: true)));
        Assert.False(Directory.Exists(_directory.PathOf("world")) || Directory.Exists(_directory.PathOf("world.tmp")));
    }

    // The first word of each sentence and its last.
    private static IEnumerable<(string, string)> Said(string list) => list.TrimEnd('.').Split(". ").Select(Ends);

    private static string DrilledList(ConversationRecord drill) => drill.Messages[0].Content[..(drill.Messages[0].Content.LastIndexOf(". ", StringComparison.Ordinal) + 1)];

    private static (string, string) Ends(string pair) => (pair[..pair.IndexOfAny([' ', '?'])], pair[(pair.LastIndexOf(' ') + 1)..]);

    private static IEnumerable<(string, string)> Facts(string firstTurn)
    {
        int start = firstTurn.EndsWith("Why?", StringComparison.Ordinal) ? firstTurn.LastIndexOf("Somebody is", StringComparison.Ordinal) : firstTurn.LastIndexOf(". ", StringComparison.Ordinal) + 2;
        return new StoryReading(firstTurn[..(start - 1)]).Facts;
    }
}
