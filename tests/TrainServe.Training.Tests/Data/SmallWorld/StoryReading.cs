using System.Globalization;
using System.Text.RegularExpressions;

namespace TrainServe.Training.Tests.Data.SmallWorld;

/// <summary>Understands a story from its words alone, and answers questions about it: the reference that the generator's own state is held to.</summary>
internal sealed partial class StoryReading
{
    private static readonly HashSet<string> Girls = [.. "Mia Anna Lily Emma Zoe Ella Ruby Nora Clara Lucy Sara Kate Rosa Tina Jane Amy Eva Ida Vera Molly Alice Grace Ivy Olga Paula Wanda Hanna Greta Fiona Julia Laura Maria".Split(' ')];
    private readonly List<(string Who, string Place)> _visits = [];
    private readonly Dictionary<string, string> _places = [], _holders = [], _moods = [], _deeds = [], _wishes = [], _numbers = [];
    private readonly List<(string Giver, string Receiver, string Thing)> _gifts = [];

    public StoryReading(string story)
    {
        foreach (string sentence in story.Split(". ").Select(part => part.TrimEnd('.')))
        {
            Read(sentence.StartsWith("Then ", StringComparison.Ordinal) ? sentence[5..] : sentence);
        }
    }

    /// <summary>Pairs of words that the story joins.</summary>
    public HashSet<(string, string)> Facts { get; } = [];

    /// <summary>The answer that a careful reader gives.</summary>
    public string Answer(string question)
    {
        string[] words = question.TrimEnd('?').Replace(" now", "", StringComparison.Ordinal).Replace(" before", "", StringComparison.Ordinal).Split(' ');
        string rest = string.Join(' ', words[2..]);
        switch (words)
        {
            case ["Where", "is", "he" or "she"]:
                var meant = _places.Keys.Where(person => Girls.Contains(person) == (words[2] == "she") && !person.StartsWith("the ", StringComparison.Ordinal)).ToList();
                return meant.Count == 1 ? $"In {_places[meant[0]]}." : $"Do you mean {InOrder(meant, person => _visits.FindIndex(visit => visit.Who == person))}?";
            case ["Where", "is", "the", "thing", "that", var who, "wanted"]:
                return $"{Capital(_wishes[who])} is in {_places[_wishes[who]]}.";
            case ["Where", "is", ..]:
                return _holders.TryGetValue(rest, out string? holder) ? $"{holder} has it, in {_places[holder]}." : $"In {_places[rest]}.";
            case ["Where", "was", ..]:
                return $"In {_visits.Where(visit => visit.Who == rest).Reverse().Skip(1).First().Place}.";
            case ["Who", "is", "in", ..]:
                return It(_places.Where(pair => pair.Value == string.Join(' ', words[3..])));
            case ["Who", "is", "with", var person]:
                return $"{Pronoun(person)} is in {_places[person]} with {_places.Single(pair => pair.Value == _places[person] && pair.Key != person).Key}.";
            case ["Who", "is", var mood]:
                return It(_moods.Where(pair => pair.Value == mood));
            case ["Who", "has", ..] when _holders.TryGetValue(rest, out string? owner):
                return $"It is {owner}.";
            case ["Who", "has", ..]:
                var same = _holders.Where(pair => pair.Key.EndsWith($" {words[^1]}", StringComparison.Ordinal)).ToList();
                return same.Count == 1 ? $"It is {same[0].Value}." : $"Do you mean {string.Join(" or ", same.Select(pair => pair.Key))}?";
            case ["Who", "wanted", ..]:
                return It(_wishes.Where(pair => pair.Value == rest));
            case ["Who", "gave", ..]:
                return $"It is {_gifts.Single(gift => question == $"Who gave {gift.Thing} to {gift.Receiver}?").Giver}.";
            case ["Who", ..]:
                return It(_deeds.Where(pair => pair.Value == string.Join(' ', words[1..])));
            case ["What", "does", var person, "have"]:
                return Capital($"{_holders.Single(pair => pair.Value == person).Key}.");
            case ["What", "did", var person, "want"]:
                return Capital($"{_wishes[person]}.");
            case ["How", "does", var person, "feel"]:
                return $"{Pronoun(person)} is {_moods[person]}.";
            case ["How", "many", _, "does", var person, "have"]:
                return $"{Pronoun(person)} has {_numbers[person]}.";
            case ["Somebody", "is", _, "Why"]:
                string feeling = _moods.Single(pair => pair.Value == words[2].TrimEnd('.')).Key;
                return $"{feeling} {_deeds[feeling]}.";
            default:
                throw new InvalidOperationException($"What is '{question}'?");
        }
    }

    private static string It(IEnumerable<KeyValuePair<string, string>> found) => $"It is {found.Single().Key}.";

    private static string InOrder(IEnumerable<string> items, Func<string, int> place) => string.Join(" or ", items.OrderBy(place));

    private static string Pronoun(string person) => Girls.Contains(person) ? "She" : "He";

    private static string Capital(string text) => char.ToUpper(text[0], CultureInfo.InvariantCulture) + text[1..];

    [GeneratedRegex("^(?<who>[A-Z][a-z]+|The [a-z]+) (?:was in|sat in|waited in|lay in|went to|walked to|ran to) (?<what>the [a-z]+)$")]
    private static partial Regex Stay();

    [GeneratedRegex("^(?<who>[A-Z][a-z]+) (?:gave|handed) (?<what>the [a-z]+) to (?<other>[A-Z][a-z]+)$")]
    private static partial Regex Gift();

    [GeneratedRegex("^(?<who>[A-Z][a-z]+) (?:wanted|asked for) (?<what>the [a-z]+)$")]
    private static partial Regex Wish();

    [GeneratedRegex("^(?<who>[A-Z][a-z]+) (?:had|held|carried) (?<what>the [a-z ]+)$")]
    private static partial Regex Hold();

    [GeneratedRegex("^(?<who>[A-Z][a-z]+) had (?<what>[a-z]+) [a-z]+s$")]
    private static partial Regex Count();

    [GeneratedRegex("^(?<who>[A-Z][a-z]+) (?:was|felt) (?<what>[a-z]+)$")]
    private static partial Regex Feel();

    [GeneratedRegex("^(?<who>[A-Z][a-z]+) (?<what>[a-z]+ the [a-z]+)$")]
    private static partial Regex Deed();

    private void Read(string sentence)
    {
        if (Match(Stay(), sentence) is { } stay)
        {
            string who = stay.Who.Replace("The ", "the ", StringComparison.Ordinal);
            _places[who] = stay.What;
            _visits.Add((who, stay.What));
        }
        else if (Match(Gift(), sentence) is { } gift)
        {
            _holders[gift.What] = gift.Other;
            _gifts.Add((gift.Who, gift.Other, gift.What));
            Facts.Add((gift.Other, gift.What.Split(' ')[^1]));
            return;
        }
        else if (Match(Wish(), sentence) is { } wish)
        {
            _wishes[wish.Who] = wish.What;
        }
        else if (Match(Hold(), sentence) is { } hold)
        {
            _holders[hold.What] = hold.Who;
        }
        else if (Match(Count(), sentence) is { } count)
        {
            _numbers[count.Who] = count.What;
        }
        else if (Match(Feel(), sentence) is { } feel)
        {
            _moods[feel.Who] = feel.What;
        }
        else if (Match(Deed(), sentence) is { } deed)
        {
            _deeds[deed.Who] = deed.What;
        }
        else
        {
            throw new InvalidOperationException($"What is '{sentence}'?");
        }
        var read = new[] { Stay(), Wish(), Hold(), Count(), Feel(), Deed() }.Select(form => Match(form, sentence)).First(match => match is not null)!.Value;
        Facts.Add((read.Who.Split(' ')[^1], read.What.Split(' ')[^1]));
    }

    private static (string Who, string What, string Other)? Match(Regex form, string sentence) =>
        form.Match(sentence) is { Success: true } match ? (match.Groups["who"].Value, match.Groups["what"].Value, match.Groups["other"].Value) : null;
}
