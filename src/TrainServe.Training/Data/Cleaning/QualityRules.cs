namespace TrainServe.Training.Data.Cleaning;

/// <summary>One measure of a text and the range that it must lie in.</summary>
/// <param name="Name">Such as <c>mean-word-length</c>.</param>
/// <param name="Family">Which paper's list it is of: <c>gopher</c>, <c>gopher-repetition</c> or <c>c4</c>.</param>
/// <param name="Measure">What is measured, for the report.</param>
/// <param name="Of">Measures.</param>
/// <param name="Least">The least value that passes.</param>
/// <param name="Most">The largest value that passes.</param>
public sealed record QualityRule(string Name, string Family, string Measure, Func<TextProfile, double> Of, double Least = double.NegativeInfinity, double Most = double.PositiveInfinity)
{
    /// <summary>The measured value when it is out of range, or null.</summary>
    public double? FaultOf(TextProfile text) => Of(text) is var value && value >= Least && value <= Most ? null : value;

    public string Range => (double.IsInfinity(Least), double.IsInfinity(Most)) switch
    {
        (true, _) => FormattableString.Invariant($"at most {Most:0.###}"),
        (_, true) => FormattableString.Invariant($"at least {Least:0.###}"),
        _ => FormattableString.Invariant($"{Least:0.###} to {Most:0.###}"),
    };
}

/// <summary>Rules with the numbers of the papers that they are from. A text is judged as a whole and is never changed.</summary>
/// <remarks>
/// <c>gopher</c> and <c>gopher-repetition</c>: Rae et al. 2021, "Scaling Language Models: Methods, Analysis and Insights from Training Gopher", arXiv:2112.11446, appendix A.1.1
/// ("Quality Filtering", and "Repetition Removal" with table A1). <c>c4</c>: Raffel et al. 2020, "Exploring the Limits of Transfer Learning with a Unified Text-to-Text
/// Transformer", arXiv:1910.10683, section 2.2, those of its rules that judge a page; its rules for single lines suit web pages and not books, whose lines end anywhere, and its list of
/// bad words is left out because it removes texts by and about minorities (Dodge et al. 2021, arXiv:2104.08758). The numbers were chosen for English web pages: short stories
/// fall to <c>words</c>, whole novels too.
/// </remarks>
public static class QualityRules
{
    public static IReadOnlyList<QualityRule> All { get; } =
    [
        new("words", "gopher", "words", text => text.Words, Least: 50, Most: 100_000),
        new("mean-word-length", "gopher", "mean length of a word, characters", text => text.MeanWordLength, Least: 3, Most: 10),
        new("symbols", "gopher", "hash signs or ellipses a word", text => text.SymbolsPerWord, Most: 0.1),
        new("bullet-lines", "gopher", "part of the lines that begin with a bullet", text => text.BulletLines, Most: 0.9),
        new("ellipsis-lines", "gopher", "part of the lines that end in an ellipsis", text => text.EllipsisLines, Most: 0.3),
        new("words-with-letter", "gopher", "part of the words that have a letter", text => text.WordsWithLetter, Least: 0.8),
        new("stop-words", "gopher", "how many of the, be, to, of, and, that, have, with occur", text => text.StopWordKinds, Least: 2),
        new("repeated-lines", "gopher-repetition", "part of the lines that are repeated", text => text.RepeatedLines, Most: 0.3),
        new("repeated-paragraphs", "gopher-repetition", "part of the paragraphs that are repeated", text => text.RepeatedParagraphs, Most: 0.3),
        new("repeated-line-characters", "gopher-repetition", "part of the characters in repeated lines", text => text.RepeatedLineCharacters, Most: 0.2),
        new("repeated-paragraph-characters", "gopher-repetition", "part of the characters in repeated paragraphs", text => text.RepeatedParagraphCharacters, Most: 0.2),
        MostFrequent(2, 0.20), MostFrequent(3, 0.18), MostFrequent(4, 0.16),
        Repeated(5, 0.15), Repeated(6, 0.14), Repeated(7, 0.13), Repeated(8, 0.12), Repeated(9, 0.11), Repeated(10, 0.10),
        new("sentences", "c4", "sentences", text => text.Sentences, Least: 3),
        new("lorem-ipsum", "c4", "placeholder text (lorem ipsum)", text => text.Contains("lorem ipsum") ? 1 : 0, Most: 0),
        new("curly-bracket", "c4", "an opening curly bracket, a sign of program text", text => text.Contains("{") ? 1 : 0, Most: 0),
    ];

    public static IReadOnlyList<string> Families { get; } = [.. All.Select(rule => rule.Family).Distinct(StringComparer.Ordinal)];

    /// <summary>The rules of some families, without some rules.</summary>
    /// <exception cref="ArgumentException">There is no such family or rule.</exception>
    public static IReadOnlyList<QualityRule> Choose(IReadOnlyCollection<string> families, IReadOnlyCollection<string> except)
    {
        foreach (string family in families.Where(family => !Families.Contains(family, StringComparer.Ordinal)))
        {
            throw new ArgumentException($"'{family}' is no list of rules; there are {string.Join(", ", Families)}.", nameof(families));
        }
        foreach (string name in except.Where(name => All.All(rule => rule.Name != name)))
        {
            throw new ArgumentException($"'{name}' is no rule; there are {string.Join(", ", All.Select(rule => rule.Name))}.", nameof(except));
        }
        return [.. All.Where(rule => families.Contains(rule.Family, StringComparer.Ordinal) && !except.Contains(rule.Name, StringComparer.Ordinal))];
    }

    private static QualityRule MostFrequent(int n, double most) =>
        new($"top-{n}-gram", "gopher-repetition", $"part of the characters in the commonest run of {n} words", text => text.MostFrequent(n), Most: most);

    // A longer run that is repeated consists of repeated runs of five, so that five's part is never less: mostly it suffices.
    private static QualityRule Repeated(int n, double most) =>
        new($"repeated-{n}-grams", "gopher-repetition", $"part of the characters in repeated runs of {n} words",
            text => text.InRepeatedRuns(5) is var bound && bound <= most ? bound : text.InRepeatedRuns(n), Most: most);
}
