using TrainServe.Core.Random;
using TrainServe.Training.Data.SmallWorld.Questions;
using TrainServe.Training.Data.SmallWorld.State;
using TrainServe.Training.Data.SmallWorld.Words;

namespace TrainServe.Training.Data.SmallWorld;

/// <summary>Texts about small worlds whose truth is known. Every record is a function of the seed, its kind and its number.</summary>
/// <remarks>
/// What a small network learns in minutes decides the shape of the texts: first come lists of two or three pairs, because looking back is learned where there is
/// little to choose from, then lists whose pairs stand as far from each other as in sentences and answers; conversations have worlds of 2 to 5, and tests of 5. What was measured is in tests/TrainServe.Benchmarks/RESULTS.md.
/// </remarks>
public sealed class SmallWorldGenerator(ulong seed)
{
    private const int SmallWorld = 3, LargestWorld = 5;
    private const double Variety = 0.3, PlainShare = 0.25;

    private static readonly (Action<SceneBuilder> Tell, double Weight, QuestionFamily[] Families)[] Kinds =
    [
        (Scenes.Places, 2.5, [QuestionFamily.WherePerson, QuestionFamily.WhoInPlace, QuestionFamily.WhoIsWith, QuestionFamily.PlaceBefore, QuestionFamily.ClearPerson, QuestionFamily.UnclearPerson]),
        (Scenes.Hands, 1.5, [QuestionFamily.WhoHas, QuestionFamily.WhatHas, QuestionFamily.WhoGave]),
        (Scenes.Twins, 1.5, [QuestionFamily.ClearThing, QuestionFamily.UnclearThing]),
        (Scenes.Carriers, 2, [QuestionFamily.WhereHeld]),
        (Scenes.Wishes, 1.5, [QuestionFamily.WhatWanted, QuestionFamily.WhoWanted, QuestionFamily.WhereWanted]),
        (Scenes.Finds, 0.5, [QuestionFamily.WhereThing]),
        (Scenes.Moods, 1.5, [QuestionFamily.HowFeels, QuestionFamily.WhoFeels, QuestionFamily.WhoDid, QuestionFamily.WhyFeels]),
        (Scenes.Counts, 0.5, [QuestionFamily.CountThings]),
    ];

    private static readonly (QuestionFamily Family, double Weight)[] Plain =
        [(QuestionFamily.Sum, 1), (QuestionFamily.Comfort, 1), (QuestionFamily.Harmful, 1.5), (QuestionFamily.Harmless, 1.5), (QuestionFamily.Manners, 0.5)];

    private static readonly string[] Openings = ["One day, this happened.", "Here is a story.", "Listen to this.", "Once upon a time, there was a small town."];
    private static readonly string[] Closings = ["It was a good day.", "Then the sun went down.", "That is all.", "Then it was time to sleep."];
    private static readonly string[] Rude = ["Stop asking me silly things.", "Find out yourself.", "What a dull question.", "I have no time for you."];
    private static readonly string[] Evasive = ["I do not know.", "Who can say?", "Maybe, maybe not.", "That is hard to tell."];

    /// <summary>Purposes: each has random numbers of its own.</summary>
    private enum Purpose
    {
        List,
        Story,
        Conversation,
        Preference,
        Evaluation,
        SpelledList,
        Drill,
    }

    /// <summary>"Mia barn. Tom park. Tom park. Mia barn.": two or three pairs of words, said three times in changing order.</summary>
    /// <remarks>What a word goes with can only be recalled, and every third word is such a recall: nothing teaches attention to look back sooner.</remarks>
    /// <param name="number">Which.</param>
    public StoryRecord List(int number) => new(PairLists.Bare(Random(Purpose.List, number), SmallWorld));

    /// <summary>"Mia was in the barn. Tom park. Tom? In the park. barn? It is Mia.": a list whose pairs are said with more or fewer words between them, and the other way round.</summary>
    /// <param name="number">Which.</param>
    public StoryRecord SpelledList(int number) => new(PairLists.Spelled(Random(Purpose.SpelledList, number), SmallWorld));

    /// <summary>A conversation that asks for the words of a list, one by one: what lists have taught, in the form of a conversation.</summary>
    /// <param name="number">Which.</param>
    public ConversationRecord Drill(int number)
    {
        var (list, asked) = PairLists.Drill(Random(Purpose.Drill, number), SmallWorld);
        return new ConversationRecord(
            [.. asked.SelectMany((pair, turn) => new MessageRecord[] { new("user", turn == 0 ? $"{list} {pair.Question}" : pair.Question), new("assistant", pair.Answer) })],
            [.. asked.Select(_ => "drill")],
            [.. asked.Select(_ => true)]);
    }

    /// <summary>A text to pretrain on: a small story, which most often goes on with questions and answers, or talk without a story.</summary>
    /// <param name="number">Which.</param>
    public StoryRecord Story(int number)
    {
        var random = Random(Purpose.Story, number);
        if (random.Chance(0.15))
        {
            var exchange = Enumerable.Range(0, random.Between(2, 4)).Select(_ => NewPlain(WorldSplit.Train, random));
            return new StoryRecord(string.Join(' ', exchange.Select(question => $"{question.Text} {question.Answer}")));
        }
        var tale = NewTale(random.PickWeighted(Kinds, kind => kind.Weight).Tell, WorldSplit.Train, random.Between(2, SmallWorld), random);
        var parts = new List<string>();
        if (random.Chance(0.5))
        {
            parts.Add(random.Pick(Openings));
        }
        parts.Add(tale.Text);
        if (random.Chance(0.8))
        {
            parts.AddRange(Ask(tale, WorldSplit.Train, random, count: 4).Select(question => $"{question.Text} {question.Answer}"));
        }
        if (random.Chance(0.3))
        {
            parts.Add(random.Pick(Closings));
        }
        return new StoryRecord(string.Join(' ', parts));
    }

    /// <summary>A conversation to fine-tune on: a story and questions about it, or some questions that need none.</summary>
    /// <param name="number">Which.</param>
    public ConversationRecord Conversation(int number)
    {
        var random = Random(Purpose.Conversation, number);
        var messages = new List<MessageRecord>();
        var questions = new List<Question>();
        if (random.Chance(PlainShare))
        {
            for (int left = random.Between(1, 3); left > 0; left--)
            {
                Add(NewPlain(WorldSplit.Train, random), "");
            }
        }
        else
        {
            var tale = NewTale(WorldSplit.Train, random);
            foreach (var question in Ask(tale, WorldSplit.Train, random, random.Between(3, 5)))
            {
                Add(question, questions.Count == 0 ? $"{tale.Text} " : "");
            }
            if (random.Chance(0.2))
            {
                Add(NewPlain(WorldSplit.Train, random), "");
            }
        }
        return new ConversationRecord(messages, [.. questions.Select(question => question.Family.Name())], [.. questions.Select(question => question.Family.NeedsStory())]);

        void Add(Question question, string before)
        {
            questions.Add(question);
            messages.AddRange([new("user", before + question.Text), new("assistant", question.Answer)]);
            if (question.Clarified is { } clarified && random.Chance(0.3))
            {
                questions.Add(question);
                messages.AddRange([new("user", clarified.Text), new("assistant", clarified.Answer)]);
            }
        }
    }

    /// <summary>A right and kind answer, and one that is not.</summary>
    /// <param name="number">Which.</param>
    public PreferenceRecord Preference(int number)
    {
        var random = Random(Purpose.Preference, number);
        bool isPlain = random.Chance(0.4);
        var tale = NewTale(WorldSplit.Train, random);
        var question = isPlain ? NewPlain(WorldSplit.Train, random) : Ask(tale, WorldSplit.Train, random, count: 1)[0];
        var (reason, rejected) = Rejected(question, isPlain ? null : tale, random);
        return new PreferenceRecord([new("user", isPlain ? question.Text : $"{tale.Text} {question.Text}")], [new("assistant", question.Answer)], [new("assistant", rejected)], reason, question.Family.Name());
    }

    /// <summary>A question about a test world.</summary>
    /// <param name="family">Of the question.</param>
    /// <param name="number">Which of the family.</param>
    public EvaluationRecord Evaluation(QuestionFamily family, int number)
    {
        var random = Random(Purpose.Evaluation, (number * QuestionFamilies.All.Count) + (int)family);
        if (!family.NeedsStory())
        {
            return Record(PlainQuestions.Draw(family, WorldSplit.Test, random), null);
        }
        var tell = Kinds.Single(kind => kind.Families.Contains(family)).Tell;
        // The last of a kind that a story names answers at most every fifth question.
        bool mayBeLast = number % 5 == 0;
        while (true)
        {
            var tale = NewTale(tell, WorldSplit.Test, LargestWorld, random);
            var asked = Questions(tale, WorldSplit.Test, random).Where(question => question.Family == family && (mayBeLast || question.Key != tale.LastMention(question.Kind))).ToList();
            if (asked.Count > 0)
            {
                return Record(random.Pick(asked), tale);
            }
        }
    }

    /// <summary>How many questions of each family an evaluation holds: more of those with two facts, and of those whose rate has to be known well.</summary>
    /// <param name="perFamily">Of a family of the usual weight.</param>
    public IEnumerable<EvaluationRecord> Evaluation(int perFamily)
    {
        foreach (var family in QuestionFamilies.All)
        {
            int count = family is QuestionFamily.Harmful or QuestionFamily.Harmless ? 2 * perFamily : family.Facts() == 2 ? 3 * perFamily / 2 : perFamily;
            for (int number = 0; number < count; number++)
            {
                yield return Evaluation(family, number);
            }
        }
    }

    private static EvaluationRecord Record(Question question, Tale? tale) => new(question.Family.Name(), question.Family.NeedsStory(), question.Family.Facts(),
        tale?.Text ?? "", question.Text, question.Accepted, question.Key, tale?.LastMention(question.Kind));

    private static Question NewPlain(WorldSplit split, PhiloxRandom random) => PlainQuestions.Draw(random.PickWeighted(Plain, item => item.Weight).Family, split, random);

    private static Tale NewTale(WorldSplit split, PhiloxRandom random) => NewTale(random.PickWeighted(Kinds, kind => kind.Weight).Tell, split, random.Between(2, LargestWorld), random);

    // Draws until the split owns all facts, and there is something to ask.
    private static Tale NewTale(Action<SceneBuilder> tell, WorldSplit split, int size, PhiloxRandom random)
    {
        while (true)
        {
            var scene = new SceneBuilder(random, split, size);
            tell(scene);
            if (scene.Build(Variety) is { } tale && Questions(tale, split, random).Count > 0)
            {
                return tale;
            }
        }
    }

    private static List<Question> Questions(Tale tale, WorldSplit split, PhiloxRandom random) =>
        [.. StoryQuestions.Of(tale, random).Where(question => question.Fact is not { } fact || split.Owns(fact.One, fact.Other))];

    // Some questions about a story: difficult families rather than easy ones, and each as often whether the story has one such question or five.
    private static List<Question> Ask(Tale tale, WorldSplit split, PhiloxRandom random, int count)
    {
        var left = Questions(tale, split, random).DistinctBy(question => question.Text, StringComparer.Ordinal).ToList();
        var asked = new List<Question>();
        while (left.Count > 0 && asked.Count < count)
        {
            var inFamily = left.CountBy(question => question.Family).ToDictionary();
            var question = random.PickWeighted(left, question => Weight(question.Family) / inFamily[question.Family]);
            left.Remove(question);
            asked.Add(question);
        }
        return asked;
    }

    private static double Weight(QuestionFamily family) => family switch
    {
        QuestionFamily.UnclearThing or QuestionFamily.WhoInPlace => 3,
        _ when family.Facts() == 2 => 6,
        _ => 1,
    };

    private static (string Reason, string Answer) Rejected(Question question, Tale? tale, PhiloxRandom random)
    {
        switch (question.Family)
        {
            case QuestionFamily.Harmful when random.Chance(0.7):
                return ("harmful", "Yes. Take your time, and do it well.");
            case QuestionFamily.Harmless when random.Chance(0.7):
                return ("refuses_harmless", $"{PlainQuestions.Refusal} It would hurt somebody.");
            case QuestionFamily.UnclearThing or QuestionFamily.UnclearPerson when random.Chance(0.7):
                return ("guesses", question.Clarified!.Value.Answer);
            // Their twins: without such pairs a reward model learns that asking back is good whatever was asked.
            case QuestionFamily.ClearThing or QuestionFamily.ClearPerson when random.Chance(0.5):
            case not QuestionFamily.UnclearThing and not QuestionFamily.UnclearPerson when tale is not null && random.Chance(0.15):
                if (NeedlessQuestion(question, tale!, random) is { } needless)
                {
                    return ("asks_needlessly", needless);
                }
                break;
        }
        var others = tale?.Candidates(question.Kind).Where(key => key != question.Key && !question.AlsoRight.Contains(key, StringComparer.Ordinal)).ToList() ?? [];
        return random.Between(0, 5) switch
        {
            0 => ("rude", random.Pick(Rude)),
            1 => ("evasive", random.Pick(Evasive)),
            2 => ("off_topic", PlainQuestions.Draw(question.Family == QuestionFamily.Comfort ? QuestionFamily.Sum : QuestionFamily.Comfort, WorldSplit.Train, random).Answer),
            _ when others.Count > 0 => ("wrong", question.AnswerWith(random.Pick(others))),
            _ => ("rude", random.Pick(Rude)),
        };
    }

    // Asks which of two is meant, where there is no choice.
    private static string? NeedlessQuestion(Question question, Tale tale, PhiloxRandom random)
    {
        var kind = question.Family is QuestionFamily.ClearThing or QuestionFamily.WhoHas or QuestionFamily.WhereThing or QuestionFamily.WhereHeld ? AnswerKind.Thing : AnswerKind.Person;
        var named = tale.Candidates(kind).ToList();
        if (named.Count < 2)
        {
            return null;
        }
        string one = random.Pick(named), other = random.Pick(named.Where(name => name != one).ToList());
        if (question.Family == QuestionFamily.ClearThing)
        {
            // "the red ball or the blue ball", where only a red one is told of.
            one = named.Find(name => name.EndsWith($" {question.Subject}", StringComparison.Ordinal)) ?? one;
            other = named.Where(name => name != one).Select(name => name.Split(' ')).Where(words => words.Length == 3).Select(words => $"the {words[1]} {question.Subject}").FirstOrDefault(name => name != one) ?? other;
        }
        return $"Do you mean {one} or {other}?";
    }

    private PhiloxRandom Random(Purpose purpose, int number) => new(seed, ((ulong)purpose << 32) | (uint)number);
}
