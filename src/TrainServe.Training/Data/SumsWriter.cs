using System.Globalization;
using TrainServe.Core.Random;

namespace TrainServe.Training.Data;

/// <summary>Sums of two numbers, for reinforcement learning with a reward that can be checked, divided so that no pair of numbers is on both sides in either order.</summary>
public static class SumsWriter
{
    public const string TrainFile = "train.jsonl", TestFile = "test.jsonl";

    /// <summary>The largest number that is accepted: a million sums.</summary>
    public const int MostLargest = 999;

    /// <summary>Writes every sum of two numbers from 0 to <paramref name="largest"/> once into one of two files, in random order.</summary>
    /// <param name="directory">Is made if it is not there.</param>
    /// <param name="largest">From 1 to <see cref="MostLargest"/>.</param>
    /// <param name="testFraction">The part of all pairs of numbers that goes to the test file, above 0 and below 1.</param>
    /// <param name="seed">The same seed gives the same bytes.</param>
    /// <returns>Lines of the training and of the test file.</returns>
    public static (int Train, int Test) Write(string directory, int largest, double testFraction, ulong seed)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(largest, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(largest, MostLargest);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(testFraction);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(testFraction, 1);
        var random = new PhiloxRandom(seed);
        (int Smaller, int Larger)[] pairs = [.. from smaller in Enumerable.Range(0, largest + 1) from larger in Enumerable.Range(smaller, largest + 1 - smaller) select (smaller, larger)];
        random.Shuffle<(int, int)>(pairs);
        int test = Math.Clamp((int)Math.Round(testFraction * pairs.Length), 1, pairs.Length - 1);
        Directory.CreateDirectory(directory);
        return (WriteSide(Path.Combine(directory, TrainFile), pairs[test..], random), WriteSide(Path.Combine(directory, TestFile), pairs[..test], random));
    }

    private static int WriteSide(string path, (int Smaller, int Larger)[] pairs, PhiloxRandom random)
    {
        (int First, int Second)[] sums = [.. pairs.SelectMany(pair => pair.Smaller == pair.Larger ? [(pair.Smaller, pair.Larger)] : new[] { (pair.Smaller, pair.Larger), (pair.Larger, pair.Smaller) })];
        random.Shuffle<(int, int)>(sums);
        // Names that fine-tuning, reinforcement learning and evaluation all read.
        File.WriteAllLines(path, sums.Select(sum => string.Create(CultureInfo.InvariantCulture, $$"""{"question":"{{sum.First}}+{{sum.Second}}=","answer":"{{sum.First + sum.Second}}"}""")));
        return sums.Length;
    }
}
