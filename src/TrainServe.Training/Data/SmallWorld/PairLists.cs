using System.Globalization;
using TrainServe.Core.Random;
using TrainServe.Training.Data.SmallWorld.Words;

namespace TrainServe.Training.Data.SmallWorld;

/// <summary>Lists of pairs of words, said three times in changing order: what a word goes with can only be looked up.</summary>
/// <remarks>
/// Bare pairs teach to look at the word before, which is learned soonest. In a story and in its answers some words stand between the two, and an answer may name the first for the
/// second. Spelled lists have every such distance beside the bare one, so that each is learned from those that are known: from bare lists straight to stories nothing was learned
/// in ten times as many tokens. See tests/TrainServe.Benchmarks/RESULTS.md.
/// </remarks>
internal static class PairLists
{
    private const int Times = 3;
    private const double BackShare = 0.35;

    private static readonly IReadOnlyList<Word> People = [.. Vocabulary.People.Select(person => new Word(person.Name, Vocabulary.Capital(person.Subject)))];
    private static readonly IReadOnlyList<Word> Places = [.. Vocabulary.Places.Select(place => new Word(place.Noun))];
    private static readonly IReadOnlyList<Word> Things = [.. Vocabulary.Things.Select(thing => new Word(thing.Noun))];
    private static readonly string[] ToPerson = [" ", " is ", " it is ", "? It is "];

    private static readonly Relation[] Relations =
    [
        new(People, Places, [" ", " in ", " in the ", " was in the ", " sat in the ", " went to the ", "? In the "], ToPerson, "In the ", "It is "),
        new(People, Things, [" ", " the ", " had the ", " held the ", " wanted the ", "? The "], ToPerson, "The ", "It is "),
        new(People, [.. Vocabulary.Moods.Select(mood => new Word(mood))], [" ", " was ", " felt ", " is ", "? {0} is "], ToPerson, "{0} is ", "It is "),
        new(Things, Places, [" ", " in the ", " was in the ", " lay in the ", "? In the "], [" ", " is the ", " has the "], "In the ", "The "),
    ];

    /// <summary>"Mia barn. Tom park. ..."</summary>
    /// <param name="random">Draws.</param>
    /// <param name="most">Pairs at most; at least two.</param>
    public static string Bare(PhiloxRandom random, int most)
    {
        var pairs = Pairs(random.Pick(Relations), random, most);
        return Join(Enumerable.Range(0, Times).SelectMany(_ => random.Shuffled(pairs)).Select(pair => $"{pair.Key.Text} {pair.Value.Text}."));
    }

    /// <summary>"Mia was in the barn. Tom park. barn? It is Mia. ..."</summary>
    /// <param name="random">Draws.</param>
    /// <param name="most">Pairs at most; at least two.</param>
    public static string Spelled(PhiloxRandom random, int most)
    {
        var relation = random.Pick(Relations);
        var pairs = Pairs(relation, random, most);
        // What is said first is no answer yet.
        var told = random.Shuffled(pairs).Select(pair => Say(pair.Key, random.Pick([.. relation.Forward.Where(words => words[0] != '?')]), pair.Value));
        var again = Enumerable.Range(1, Times - 1).SelectMany(_ => random.Shuffled(pairs)).Select(pair => random.Chance(BackShare)
            ? Say(pair.Value, random.Pick(relation.Back), pair.Key)
            : Say(pair.Key, random.Pick(relation.Forward), pair.Value));
        return Join(told.Concat(again));
    }

    /// <summary>A list, and its words asked for one by one: "barn?", "It is Mia."</summary>
    /// <param name="random">Draws.</param>
    /// <param name="most">Pairs at most; at least two.</param>
    /// <returns>The list, then questions and answers in turn.</returns>
    public static (string List, IReadOnlyList<(string Question, string Answer)> Asked) Drill(PhiloxRandom random, int most)
    {
        var relation = random.Pick(Relations);
        var pairs = Pairs(relation, random, most);
        string list = Join(random.Shuffled(pairs).Select(pair => Say(pair.Key, random.Pick([.. relation.Forward.Where(words => words[0] != '?')]), pair.Value)));
        var questions = pairs.SelectMany(pair => new[]
        {
            ($"{pair.Key.Text}?", $"{string.Format(CultureInfo.InvariantCulture, relation.ValueAnswer, pair.Key.Pronoun)}{pair.Value.Text}."),
            ($"{pair.Value.Text}?", $"{relation.KeyAnswer}{pair.Key.Text}."),
        });
        return (list, random.Shuffled(questions));
    }

    private static List<(Word Key, Word Value)> Pairs(Relation relation, PhiloxRandom random, int most)
    {
        var pairs = new List<(Word Key, Word Value)>();
        foreach (var key in random.Shuffled(relation.Keys).Take(random.Between(2, most)))
        {
            pairs.Add((key, random.Pick(relation.Values.Where(value => pairs.TrueForAll(pair => pair.Value != value) && WorldSplit.Train.Owns(key.Text, value.Text)).ToList())));
        }
        return pairs;
    }

    private static string Say(Word first, string words, Word second) => $"{first.Text}{string.Format(CultureInfo.InvariantCulture, words, first.Pronoun)}{second.Text}.";

    private static string Join(IEnumerable<string> said) => string.Join(' ', said);

    /// <param name="Text">As it is written.</param>
    /// <param name="Pronoun">Of a person: He or She.</param>
    private sealed record Word(string Text, string? Pronoun = null);

    /// <param name="Keys">What is told about.</param>
    /// <param name="Values">What is told.</param>
    /// <param name="Forward">What may stand between a key and its value.</param>
    /// <param name="Back">What may stand between a value and its key.</param>
    /// <param name="ValueAnswer">How an answer that names a value begins.</param>
    /// <param name="KeyAnswer">How an answer that names a key begins.</param>
    private sealed record Relation(IReadOnlyList<Word> Keys, IReadOnlyList<Word> Values, string[] Forward, string[] Back, string ValueAnswer, string KeyAnswer);
}
