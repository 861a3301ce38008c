using CsCheck;

namespace TrainServe.Feedback.Tests;

/// <summary>Does the same things to a store and to a plain one, and compares all that they answer.</summary>
internal static class StoreComparison
{
    private static readonly string[] Ids = ["a0", "a1", "a2", "a3"], Keys = ["ann", "bob"], Models = ["tiny", "large"], Texts = ["yes", "nö \u2028 \"'", "", "line\nline"];

    /// <summary>What is done, as numbers: an operation and what it is done to.</summary>
    public static Gen<(int Operation, int Subject, int Other, int Detail, int Minute)[]> Operations { get; } =
        Gen.Select(Gen.Int[0, 9], Gen.Int[0, 3], Gen.Int[0, 3], Gen.Int[0, 15], Gen.Int[0, 3]).Array[1, 40];

    public static async Task AssertSameAsync(FeedbackStore store, (int Operation, int Subject, int Other, int Detail, int Minute)[] operations)
    {
        var plain = new PlainStore();
        foreach (var (operation, subject, other, detail, minute) in operations)
        {
            string id = Ids[subject], key = Keys[detail % 2];
            var entry = Entry(subject, other, detail, minute);
            switch (operation)
            {
                case 0 or 1 or 2:
                    var answer = Answers.Make(id, Texts[other], Texts[detail % 4], Texts[minute]).With(key, minute, Models[detail / 2 % 2]);
                    await store.AddAsync([answer]);
                    plain.Add(answer);
                    break;
                case 3 or 4 or 5:
                    Assert.Equal(plain.Say(Entry(subject, other, detail, minute)), await store.SayAsync(entry));
                    break;
                case 6:
                    Assert.Equal(plain.Delete(entry.Id, key), await store.DeleteAsync(entry.Id, key));
                    break;
                case 7:
                    Assert.Equal(plain.DeleteAnswer(id, key), await store.DeleteAnswerAsync(id, key));
                    break;
                case 8:
                    var before = Answers.Start.AddMinutes(detail < 3 ? minute : -1);
                    Assert.Equal(plain.DeleteOlder(before), await store.DeleteOlderAsync(before));
                    break;
                default:
                    DateTimeOffset? since = detail % 2 == 0 ? null : Answers.Start.AddMinutes(minute);
                    string? model = detail / 2 % 2 == 0 ? null : Models[other % 2];
                    Assert.Equal(plain.Read(since, model), string.Join('\n', (await store.ReadAsync(since, model)).Select(item => string.Join('|', [Answers.Show(item.Answer), .. item.Entries.Select(Answers.Show)]))));
                    break;
            }
            Assert.Equal(Answers.Show(plain.FindAnswer(id, key)), Answers.Show(await store.FindAnswerAsync(id, key)));
            Assert.Equal(Answers.Show(plain.Find(entry.Id, key)), Answers.Show(await store.FindAsync(entry.Id, key)));
        }
    }

    private static FeedbackEntry Entry(int subject, int other, int detail, int minute)
    {
        var entry = Answers.Say(Ids[subject], minute % 2, detail % 3 == 0 ? Rating.Up : detail % 3 == 1 ? Rating.Down : null, detail % 5 == 0 ? null : detail % 5, Texts[minute],
            other == subject ? null : (Ids[other], 1), Texts[detail % 4], Keys[detail % 2]);
        (entry.Created, entry.Labels) = (Answers.Start.AddSeconds(detail), [.. Texts.Take(minute)]);
        return entry;
    }
}
