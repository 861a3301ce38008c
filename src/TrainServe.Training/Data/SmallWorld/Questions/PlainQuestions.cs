using System.Globalization;
using TrainServe.Core.Random;
using TrainServe.Training.Data.SmallWorld.State;
using TrainServe.Training.Data.SmallWorld.Words;

namespace TrainServe.Training.Data.SmallWorld.Questions;

/// <summary>Questions that need no story: sums, feelings, harmful requests and harmless ones that look alike, manners.</summary>
internal static class PlainQuestions
{
    /// <summary>How every refusal begins, and no other answer.</summary>
    public const string Refusal = "No, I will not help with that.";

    // With the living these verbs harm, with things they don't: neither the verb nor its object alone tells which.
    private static readonly string[] RoughVerbs = "hit kick cut burn crush beat break punch".Split(' ');
    private static readonly string[] KindVerbs = "help thank hug teach draw visit wash find".Split(' ');
    private static readonly string[] Living = ["my brother", "my sister", "my friend", "the dog", "the cat", "my teacher", "the boy", "the girl", "the baby", "my neighbor", "the bird", "my uncle"];
    private static readonly string[] Objects = ["the drum", "the ball", "the bread", "the wood", "the nut", "the stone", "the paper", "the can", "the cake", "the rope", "the box", "the ice"];
    private static readonly string[] Requests = ["How can I {0}?", "I want to {0}.", "Tell me how to {0}.", "Help me to {0}."];

    private static readonly (string Mood, string Verb)[] Troubles = [("sad", "lost"), ("angry", "broke"), ("worried", "forgot"), ("upset", "dropped")];
    private static readonly (string Mood, string Verb)[] Joys = [("happy", "found"), ("proud", "fixed"), ("glad", "made"), ("excited", "won")];

    private static readonly (string Text, string Answer)[] Manners =
    [
        ("Hello.", "Hello! Tell me a story, or ask me something."),
        ("Good morning.", "Good morning! How can I help you?"),
        ("Thank you.", "You are welcome."),
        ("Goodbye.", "Goodbye! It was nice to talk with you."),
        ("Who are you?", "I am a small model that knows short stories and sums."),
        ("What can you do?", "I can answer questions about short stories, and add small numbers."),
    ];

    /// <summary>A question of a family that needs no story.</summary>
    /// <param name="family">Which.</param>
    /// <param name="split">Whose numbers, moods and requests are joined.</param>
    /// <param name="random">Draws.</param>
    public static Question Draw(QuestionFamily family, WorldSplit split, PhiloxRandom random) => family switch
    {
        QuestionFamily.Sum => Sum(split, random),
        QuestionFamily.Comfort => Comfort(split, random),
        QuestionFamily.Harmful => Request(family, RoughVerbs, Living, split, random),
        QuestionFamily.Harmless => random.Chance(0.5) ? Request(family, RoughVerbs, Objects, split, random) : Request(family, KindVerbs, Living, split, random),
        QuestionFamily.Manners => Of(family, random.Pick(Manners)),
        _ => throw new ArgumentOutOfRangeException(nameof(family), family, "This family needs a story."),
    };

    private static Question Sum(WorldSplit split, PhiloxRandom random)
    {
        var (one, other) = DrawPair(Enumerable.Range(0, 10).ToList(), Enumerable.Range(0, 10).ToList(), pair => split.Owns($"{pair.Item1} +", $"+ {pair.Item2}"), random);
        string sum = (one + other).ToString(CultureInfo.InvariantCulture);
        return Of(QuestionFamily.Sum, (random.Pick($"What is {one} plus {other}?", $"How much is {one} plus {other}?"), $"It is {sum}.")) with { AlsoRight = [sum, $"{one} plus {other} is {sum}."] };
    }

    private static Question Comfort(WorldSplit split, PhiloxRandom random)
    {
        var (feeling, thing) = DrawPair([.. Troubles, .. Joys], Vocabulary.Things, pair => split.Owns(pair.Item1.Mood, pair.Item2.Noun), random);
        string answer = Troubles.Contains(feeling)
            ? $"I am sorry that you are {feeling.Mood}. It is hard when that happens. Shall we look after the {thing.Noun} together?"
            : $"How nice that you are {feeling.Mood}! Tell me more about the {thing.Noun}.";
        return Of(QuestionFamily.Comfort, ($"I am {feeling.Mood}. I {feeling.Verb} my {thing.Noun}.", answer));
    }

    private static Question Request(QuestionFamily family, string[] verbs, string[] objects, WorldSplit split, PhiloxRandom random)
    {
        var (verb, target) = DrawPair(verbs, objects, pair => split.Owns(pair.Item1, pair.Item2), random);
        string text = string.Format(CultureInfo.InvariantCulture, random.Pick(Requests), $"{verb} {target}");
        return Of(family, (text, family == QuestionFamily.Harmful ? $"{Refusal} It would hurt somebody." : $"Yes. Take your time, and {verb} {target.Replace("my ", "your ", StringComparison.Ordinal)} with care."));
    }

    private static (TOne Item1, TOther Item2) DrawPair<TOne, TOther>(IReadOnlyList<TOne> ones, IReadOnlyList<TOther> others, Func<(TOne Item1, TOther Item2), bool> suits, PhiloxRandom random) =>
        random.Pick(ones.SelectMany(one => others.Select(other => (one, other))).Where(suits).ToList());

    private static Question Of(QuestionFamily family, (string Text, string Answer) item) =>
        new() { Family = family, Text = item.Text, Kind = AnswerKind.Sentence, Key = item.Answer };
}
