using TorchSharp;
using TrainServe.Model;
using TrainServe.Core.Random;
using TrainServe.Training.Alignment;
using TrainServe.Training.Data;
using TrainServe.Training.Distributed;
using TrainServe.Training.Recipes;
using static TorchSharp.torch;

namespace TrainServe.Training.Reinforcement;

// N tokens of a micro-batch's answers.

/// <summary>What the updates of one step came to.</summary>
internal sealed class UpdateSummary
{
    public double PolicyLoss { get; set; }
    public double ValueLoss { get; set; }
    public double Entropy { get; set; }
    public double Clipped { get; set; }
    public double Divergence { get; set; }
    public double PolicyNorm { get; set; }
    public double ValueNorm { get; set; }
    public long Tokens { get; set; }
    public int Updates { get; set; }
    public int Skipped { get; set; }

    /// <summary>Of the first update, before any weight has changed: the ratio is 1, so that both are 0 unless sampling and training disagree.</summary>
    public double? FirstClipFraction { get; set; }
    public double FirstDivergence { get; set; }
}

/// <summary>How answers are divided and what their loss is.</summary>
internal sealed record UpdateRules
{
    public required UpdateSection Update { get; init; }
    public required float Temperature { get; init; }
    public required int Padding { get; init; }
    public required ulong Seed { get; init; }
    public double ValueClipRange { get; init; }
    public double ValueCoefficient { get; init; }

    /// <summary>Weight and estimator of the divergence as a part of the loss; 0 where it is a part of the reward.</summary>
    public double KlCoefficient { get; init; }
    public KlEstimator KlEstimator { get; init; }

    /// <summary>What a minibatch's sum is divided by for each of its answers; null divides by the number of its tokens.</summary>
    public double? TokensPerAnswer { get; init; }
}

/// <summary>Learns from a step's answers: epochs of shuffled minibatches, each computed in micro-batches and applied at once.</summary>
/// <remarks>Dropout is off, so that a ratio differs from 1 by the weights alone. Several processes share the answers of every minibatch.</remarks>
internal sealed class PolicyUpdates(ModelUpdate policy, ModelUpdate? critic, UpdateRules rules, IProcessGroup processes)
{
    /// <param name="groups">Answers that must stay in one minibatch; of one each where none must.</param>
    /// <param name="step">Decides, with the seed, the order.</param>
    /// <param name="policyRate">Learning rate of the policy.</param>
    /// <param name="criticRate">Of the critic.</param>
    public UpdateSummary Run(IReadOnlyList<IReadOnlyList<Experience>> groups, long step, double policyRate, double criticRate)
    {
        policy.Model.eval();
        critic?.Model.eval();
        var summary = new UpdateSummary();
        int groupsOfMinibatch = Math.Max(1, rules.Update.MinibatchRows / groups.Max(group => group.Count));
        for (int epoch = 0; epoch < rules.Update.Epochs; epoch++)
        {
            foreach (int[] minibatch in Minibatches(groups.Count, groupsOfMinibatch, rules.Seed, step, epoch))
            {
                var answers = minibatch.SelectMany(group => groups[group]).Where(experience => !experience.IsMasked).ToList();
                if (answers.Count > 0)
                {
                    Update(answers, policyRate, criticRate, summary);
                }
            }
        }
        return summary;
    }

    /// <summary>The numbers of the groups of each minibatch: every group once, in an order of this epoch's own.</summary>
    /// <param name="groups">How many there are.</param>
    /// <param name="size">Groups of a minibatch; the last one may have fewer.</param>
    /// <param name="seed">Of the run.</param>
    /// <param name="step">Of the run.</param>
    /// <param name="epoch">Of the step.</param>
    internal static IEnumerable<int[]> Minibatches(int groups, int size, ulong seed, long step, int epoch)
    {
        int[] order = [.. Enumerable.Range(0, groups)];
        new PhiloxRandom(seed, RandomStreams.Of(RandomPurpose.Minibatches, step, epoch)).Shuffle<int>(order);
        return order.Chunk(size);
    }

    private void Update(List<Experience> answers, double policyRate, double criticRate, UpdateSummary summary)
    {
        long tokens = answers.Sum(experience => (long)experience.Answer.Length);
        double denominator = rules.TokensPerAnswer is { } constant ? constant * answers.Count : tokens;
        double loss = 0, clipped = 0, divergence = 0;
        var found = new UpdateSummary();
        foreach (var micro in processes.Dealt(answers.OrderBy(experience => experience.Answer.Ids.Length)).Chunk(rules.Update.MicroBatchRows ?? rules.Update.MinibatchRows))
        {
            using var scope = NewDisposeScope();
            Answer[] rows = [.. micro.Select(experience => experience.Answer)];
            var (lost, held, moved) = LearnPolicy(micro, rows, denominator, found);
            (loss, clipped, divergence) = (loss + lost, clipped + held, divergence + moved);
            loss += LearnValues(micro, rows, tokens, found);
        }
        double[] sums = [loss, clipped, divergence, found.PolicyLoss, found.ValueLoss, found.Entropy];
        processes.Sum(sums);
        (loss, clipped, divergence) = (sums[0], sums[1], sums[2]);
        summary.PolicyLoss += sums[3];
        summary.ValueLoss += sums[4];
        summary.Entropy += sums[5];
        if (summary.FirstClipFraction is null)
        {
            (summary.FirstClipFraction, summary.FirstDivergence) = (clipped / tokens, divergence / tokens);
        }
        summary.Clipped += clipped;
        summary.Divergence += divergence;
        summary.Tokens += tokens;
        summary.Updates++;
        var (policyNorm, isApplied) = policy.Apply(policyRate, double.IsFinite(loss));
        summary.PolicyNorm += policyNorm;
        if (critic is not null)
        {
            summary.ValueNorm += critic.Apply(criticRate, isApplied).Norm;
        }
        summary.Skipped += isApplied ? 0 : 1;
    }

    private (double Loss, double Clipped, double Divergence) LearnPolicy(Experience[] micro, Answer[] rows, double denominator, UpdateSummary summary)
    {
        var device = policy.Model.Device;
        var (newN, entropyN) = AnswerTensors.LogProbs(policy.Model, rows, rules.Padding, rules.Temperature, withEntropy: true);
        var oldN = Flat(micro, experience => experience.LogProbs, device);
        var advantagesN = Flat(micro, experience => experience.Advantages, device);
        var policySum = PolicyLoss.Sum(newN, oldN, advantagesN, rules.Update.ClipRange);
        var total = policySum;
        if (rules.KlCoefficient > 0)
        {
            total = total.Plus(LiveScalar.Of(rules.KlCoefficient) * PolicyLoss.KlSum(newN, Flat(micro, experience => experience.ReferenceLogProbs, device), rules.KlEstimator));
        }
        if (rules.Update.EntropyCoefficient > 0)
        {
            total -= LiveScalar.Of(rules.Update.EntropyCoefficient) * entropyN!.sum();
        }
        (total / LiveScalar.Of(denominator)).backward();
        double loss = policySum.item<float>();
        summary.PolicyLoss += loss;
        summary.Entropy += entropyN!.sum().item<float>();
        var (clipped, divergence) = PolicyLoss.Statistics(newN, oldN, advantagesN, rules.Update.ClipRange);
        return (total.item<float>(), clipped, divergence);
    }

    private double LearnValues(Experience[] micro, Answer[] rows, long tokens, UpdateSummary summary)
    {
        if (critic is null)
        {
            return 0;
        }
        var device = critic.Model.Device;
        var valuesN = AnswerTensors.Values(critic.Model, rows, rules.Padding);
        var sum = PolicyLoss.ValueSum(valuesN, Flat(micro, experience => experience.Values, device), Flat(micro, experience => experience.Returns, device), rules.ValueClipRange);
        (LiveScalar.Of(rules.ValueCoefficient / tokens) * sum).backward();
        double loss = sum.item<float>();
        summary.ValueLoss += loss;
        return loss;
    }

    private static Tensor Flat(Experience[] micro, Func<Experience, float[]> values, Device device) => tensor(micro.SelectMany(values).ToArray(), ScalarType.Float32, device);
}
