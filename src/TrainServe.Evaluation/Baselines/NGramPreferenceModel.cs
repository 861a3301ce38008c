using TrainServe.Core.Data;
using TrainServe.Core.Random;

namespace TrainServe.Evaluation.Baselines;

/// <summary>What words alone say of which answer is better: a linear Bradley-Terry model over single words and pairs of neighbours. A reward model is worth its name above it.</summary>
/// <remarks>
/// An answer's score is the sum of the weights of the words and pairs that it holds, each counted as log(1 + times). Weights minimise -log sigmoid(score of the better - score of the
/// other) with an L2 penalty, by AdaGrad (Duchi et al. 2011) over shuffled pairs. The prompt is common to both answers and has no weight.
/// </remarks>
public sealed class NGramPreferenceModel
{
    private const int Epochs = 20;
    private const double LearningRate = 0.1, Penalty = 1e-4, Floor = 1e-8;
    private readonly Dictionary<string, int> _features = new(StringComparer.Ordinal);
    private readonly double[] _weights;

    private NGramPreferenceModel(IReadOnlyList<PreferencePair> pairs, ulong seed)
    {
        (int Feature, double Value)[][] rows = [.. pairs.Select(pair => Difference(pair.Chosen.Content, pair.Rejected.Content))];
        _weights = new double[_features.Count];
        double[] squares = new double[_features.Count];
        int[] order = [.. Enumerable.Range(0, rows.Length)];
        var random = new PhiloxRandom(seed);
        for (int epoch = 0; epoch < Epochs; epoch++)
        {
            random.Shuffle<int>(order);
            foreach (int place in order)
            {
                // The derivative of -log sigmoid(x) is -sigmoid(-x).
                double push = 1 / (1 + Math.Exp(rows[place].Sum(item => _weights[item.Feature] * item.Value)));
                foreach (var (feature, value) in rows[place])
                {
                    double gradient = Penalty * _weights[feature] - push * value;
                    squares[feature] += gradient * gradient;
                    _weights[feature] -= LearningRate * gradient / Math.Sqrt(squares[feature] + Floor);
                }
            }
        }
    }

    /// <summary>Words and pairs of words that have a weight.</summary>
    public int FeatureCount => _features.Count;

    /// <param name="pairs">To learn from, at least one.</param>
    /// <param name="seed">Decides the order.</param>
    public static NGramPreferenceModel Train(IReadOnlyList<PreferencePair> pairs, ulong seed = 1) => pairs.Count > 0 ? new(pairs, seed) : throw new ArgumentException("There are no pairs to learn from.", nameof(pairs));

    /// <summary>The score of an answer; words that were never seen count nothing.</summary>
    public double Score(string answer) => Counts(answer).Sum(item => _features.TryGetValue(item.Key, out int feature) ? _weights[feature] * Math.Log(1 + item.Value) : 0);

    /// <summary>Words in lower case and marks, each by itself.</summary>
    internal static IEnumerable<string> Words(string text)
    {
        int start = -1;
        for (int i = 0; i <= text.Length; i++)
        {
            bool isWord = i < text.Length && (char.IsLetterOrDigit(text[i]) || text[i] == '\'');
            if (isWord)
            {
                start = start < 0 ? i : start;
                continue;
            }
            if (start >= 0)
            {
                yield return text[start..i].ToLowerInvariant();
                start = -1;
            }
            if (i < text.Length && !char.IsWhiteSpace(text[i]))
            {
                yield return text[i].ToString();
            }
        }
    }

    private static Dictionary<string, int> Counts(string text)
    {
        var counts = new Dictionary<string, int>(StringComparer.Ordinal);
        string? before = null;
        foreach (string word in Words(text))
        {
            counts[word] = counts.GetValueOrDefault(word) + 1;
            if (before is not null)
            {
                string pair = $"{before} {word}";
                counts[pair] = counts.GetValueOrDefault(pair) + 1;
            }
            before = word;
        }
        return counts;
    }

    private (int Feature, double Value)[] Difference(string chosen, string rejected)
    {
        var values = new Dictionary<int, double>();
        foreach (var (text, sign) in new[] { (chosen, 1), (rejected, -1) })
        {
            foreach (var (word, count) in Counts(text))
            {
                if (!_features.TryGetValue(word, out int feature))
                {
                    _features.Add(word, feature = _features.Count);
                }
                values[feature] = values.GetValueOrDefault(feature) + sign * Math.Log(1 + count);
            }
        }
        return [.. values.Where(item => item.Value != 0).Select(item => (item.Key, item.Value))];
    }
}
