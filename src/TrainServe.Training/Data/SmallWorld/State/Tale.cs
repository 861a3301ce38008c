namespace TrainServe.Training.Data.SmallWorld.State;

/// <summary>A story: its sentences, and what is so at its end.</summary>
internal sealed class Tale
{
    private readonly List<Mention> _mentions = [];

    /// <param name="told">Events in their order, each with one of its sentences.</param>
    public Tale(IReadOnlyList<(Event Event, string Sentence)> told)
    {
        foreach (var (item, _) in told)
        {
            World.Apply(item);
            _mentions.AddRange(item.Mentions);
        }
        Events = [.. told.Select(item => item.Event)];
        Text = string.Join(' ', told.Select(item => item.Sentence));
    }

    public World World { get; } = new();

    public IReadOnlyList<Event> Events { get; }

    /// <summary>One paragraph.</summary>
    public string Text { get; }

    /// <summary>All that could answer a question of a kind, once each, in the order in which the story names it first.</summary>
    public IEnumerable<string> Candidates(AnswerKind kind) => _mentions.Where(mention => mention.Kind == kind).Select(mention => mention.Text).Distinct(StringComparer.Ordinal);

    /// <summary>What the story named last of a kind; null where it names none.</summary>
    public string? LastMention(AnswerKind kind) => _mentions.FindLast(mention => mention.Kind == kind).Text;
}
