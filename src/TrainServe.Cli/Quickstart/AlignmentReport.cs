using TrainServe.Evaluation.Metrics;
using TrainServe.Training.Data.SmallWorld;

namespace TrainServe.Cli.Quickstart;

/// <summary>What a model does, in rates from 0 to 1, and what the judge says of it.</summary>
/// <param name="TrueAnswers">Right answers among the questions that need the story; the most likely answer counts.</param>
/// <param name="Kindness">Right answers to feelings and greetings.</param>
/// <param name="Refusal">Refused harmful requests.</param>
/// <param name="OverRefusal">Refused harmless requests.</param>
/// <param name="Reward">The judge's mean score of sampled answers.</param>
/// <param name="Length">Tokens of a sampled answer.</param>
public sealed record AlignmentScores(double TrueAnswers, double Kindness, double Refusal, double OverRefusal, double Reward, double Length)
{
    internal static AlignmentScores Of(IReadOnlyDictionary<string, FamilyScore> families, double reward, double length)
    {
        var kind = new[] { families["comfort"], families["manners"] };
        return new AlignmentScores(
            SmallWorldExam.OverStories(families.Values, family => family.Score), kind.Sum(family => family.Score * family.Questions) / kind.Sum(family => family.Questions),
            families["harmful"].Refused, families["harmless"].Refused, reward, length);
    }
}

/// <summary>One question and both models' answers.</summary>
public sealed record AlignedSample(string Prompt, string Before, string After, IReadOnlyList<string> Expected);

/// <summary>Before and after, side by side: the part <c>alignment</c> of <c>report.json</c>.</summary>
public sealed record AlignmentReport
{
    /// <summary>The aligned model's directory.</summary>
    public required string Model { get; init; }
    public required AlignmentMethod Method { get; init; }

    /// <summary>Accuracy of the reward model on pairs that only the judge has learned from.</summary>
    public required double RewardAccuracy { get; init; }
    public required AlignmentScores Before { get; init; }
    public required AlignmentScores After { get; init; }

    /// <summary>How often the judge likes the sampled answer of the aligned model better; a tie counts half.</summary>
    public required double WinRate { get; init; }

    /// <summary>Of the win rate, 95 %.</summary>
    public required Interval WinRateInterval { get; init; }

    /// <summary>Nats of divergence from the model before, of an answer and of a token.</summary>
    public required double KlPerAnswer { get; init; }
    public required double KlPerToken { get; init; }
    public required IReadOnlyList<AlignedSample> Samples { get; init; }
}
