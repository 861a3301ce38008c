using TrainServe.Core.Random;
using TrainServe.Training.Data.SmallWorld.Questions;
using TrainServe.Training.Data.SmallWorld.Words;

namespace TrainServe.Training.Data.SmallWorld.State;

/// <summary>An event and its words.</summary>
/// <param name="Event">What happens.</param>
/// <param name="Sentence">A whole sentence.</param>
/// <param name="Link">A word like "Then " before it, or nothing.</param>
internal sealed record Told(Event Event, string Sentence, string Link)
{
    /// <summary>What tells events begins with a name, so that it stays as it is behind a link.</summary>
    public string Text => Link + Sentence;

    /// <summary>The sentence as the answer to what somebody did: without its full stop.</summary>
    public string Clause => Grammar.Open(Sentence);
}

/// <summary>A story: events in words, and the world after them, in which its questions are answered.</summary>
internal sealed class Tale
{
    public Tale(IReadOnlyList<Told> told, Place? crowded = null) => (Told, Crowded, World) = (told, crowded, World.After(told.Select(item => item.Event)));

    public IReadOnlyList<Told> Told { get; }

    /// <summary>The world at the end.</summary>
    public World World { get; }

    /// <summary>The place whose people the story is about, so that counting them is worth a question; usually none.</summary>
    public Place? Crowded { get; }

    /// <summary>The text in one paragraph.</summary>
    public string Text => string.Join(' ', Told.Select(item => item.Text));

    /// <summary>The same story, told up to some sentence. It is about no crowd, because the crowd may not be there yet.</summary>
    public Tale First(int sentences) => new([.. Told.Take(sentences)]);

    /// <summary>Puts events into words.</summary>
    /// <param name="events">In their order.</param>
    /// <param name="crowded">See <see cref="Crowded"/>.</param>
    /// <param name="variety">The share of the sentences that take another wording than the plain one, and of the events that take a link.</param>
    /// <param name="random">Chooses.</param>
    public static Tale Tell(IEnumerable<Event> events, Place? crowded, double variety, PhiloxRandom random)
    {
        var told = new List<Told>();
        foreach (var item in events)
        {
            var frames = SentenceFrames.Of(item);
            string sentence = frames.Count > 1 && random.Chance(variety) ? frames[random.Between(1, frames.Count - 1)] : frames[0];
            bool isLinked = item.Happens && told.Count > 0 && random.Chance(variety);
            told.Add(new Told(item, sentence, isLinked ? random.Pick(SentenceFrames.Links) : ""));
        }
        return new Tale(told, crowded);
    }

    /// <summary>What the story names that could answer a question of a kind, in the order of the text, with repetitions.</summary>
    public IEnumerable<string> Mentions(AnswerKind kind) => kind == AnswerKind.Event
        ? Told.Where(item => item.Event.Happens).Select(item => item.Clause)
        : Told.SelectMany(item => item.Event.Mentions).Where(mention => mention.Kind == kind).Select(mention => mention.Text);
}
