using TrainServe.Core.Random;

namespace TrainServe.Training.Data.SmallWorld;

/// <summary>Draws that the generator makes over and over.</summary>
internal static class RandomDraws
{
    public static bool Chance(this PhiloxRandom random, double probability) => random.NextDouble() < probability;

    /// <summary>Uniform from least to most, both included.</summary>
    public static int Between(this PhiloxRandom random, int least, int most) => least + random.NextInt32(most - least + 1);

    public static T Pick<T>(this PhiloxRandom random, params IReadOnlyList<T> items) => items[random.NextInt32(items.Count)];

    /// <summary>An item with a probability in proportion to its weight.</summary>
    public static T PickWeighted<T>(this PhiloxRandom random, IReadOnlyList<T> items, Func<T, double> weight)
    {
        double point = random.NextDouble() * items.Sum(weight);
        foreach (var item in items)
        {
            point -= weight(item);
            if (point < 0)
            {
                return item;
            }
        }
        // Rounding can leave a last crumb; it belongs to the last item that has a weight.
        return items.Last(item => weight(item) > 0);
    }

    /// <summary>The same items in a new order.</summary>
    public static T[] Shuffled<T>(this PhiloxRandom random, IEnumerable<T> items)
    {
        var shuffled = items.ToArray();
        random.Shuffle(shuffled.AsSpan());
        return shuffled;
    }
}
