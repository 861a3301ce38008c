namespace TrainServe.Training.Data.SmallWorld.Words;

/// <summary>How people in stories feel, and what they meet there.</summary>
internal static class Moods
{
    // Those that an event brings about.
    public const string Happy = "happy", Sad = "sad", Scared = "scared", Tired = "tired", Proud = "proud";

    /// <summary>The feelings that a story can tell without a reason.</summary>
    public static IReadOnlyList<string> All { get; } = [Happy, Sad, Scared, Tired, Proud, "angry", "bored", "calm", "shy", "hungry"];

    /// <summary>What scares, with its article.</summary>
    public static IReadOnlyList<string> Animals { get; } =
        ["a big dog", "an angry bear", "a wild wolf", "an old owl", "a long snake", "a huge spider", "an ugly rat", "a loud goose"];
}

/// <summary>Numbers as words.</summary>
internal static class NumberWords
{
    public const int Largest = 12;

    private static readonly string[] Words = "zero one two three four five six seven eight nine ten eleven twelve".Split(' ');

    public static string Of(int number) => Words[number];
}
