using TorchSharp;
using TrainServe.Core.Packaging;
using TrainServe.Core.Random;
using TrainServe.Model;
using TrainServe.Training.Alignment;
using TrainServe.Training.Checkpointing;
using TrainServe.Training.Data;
using TrainServe.Training.Distributed;
using TrainServe.Training.Loops;
using TrainServe.Training.Optimization;
using TrainServe.Training.Recipes;
using static TorchSharp.torch;

namespace TrainServe.Training.PreferenceOptimization;

// B pairs.

/// <summary>A policy that prefers the better of two answers more than the reference does.</summary>
internal sealed class DpoObjective : IObjective
{
    private readonly DpoRecipe _recipe;
    private readonly PreferenceData _data;
    private readonly ReferenceLogProbs _reference;
    private readonly ModelUpdate _update;
    private readonly LearningRateSchedule _schedule;
    private readonly IProcessGroup _processes;
    private readonly int _padding, _microRows;

    public DpoObjective(DpoRecipe recipe, PreferenceData data, ReferenceLogProbs reference, Transformer model, int padding, IProcessGroup processes)
    {
        (_recipe, _data, _reference, _padding, _processes) = (recipe, data, reference, padding, processes);
        Order = data.Order(recipe.Seed);
        TotalSteps = recipe.Training.StepsOver(Order.Count);
        _schedule = LearningRateSchedule.Of(recipe.Optimizer, TotalSteps);
        _microRows = BatchShare.Of(recipe.Training, processes).MicroRows;
        _update = new ModelUpdate(model, recipe.Optimizer, TrainingLoop.WeightsFile, TrainingLoop.MomentsFile, processes);
    }

    public ExampleOrder Order { get; }
    public long TotalSteps { get; }
    public IEnumerable<TorchSharp.Modules.Parameter> Parameters => _update.Parameters;
    public ObjectiveState State => new() { Updates = new Dictionary<string, long>(StringComparer.Ordinal) { ["model"] = _update.Updates } };

    public void Begin(Action<string> note, CancellationToken stop)
    {
        // The reference's log-probabilities are made before.
    }

    public ObjectiveStep Advance(long step)
    {
        int rows = _recipe.Training.BatchRows;
        var pairs = _data.Take(Order, step * rows, rows);
        _update.Model.train();
        manual_seed(unchecked((long)new PhiloxRandom(_recipe.Seed, RandomStreams.Of(RandomPurpose.Dropout, step, _processes.Rank)).NextUInt64()));
        var found = new Sums();
        foreach (var micro in _processes.Dealt(pairs.OrderBy(pair => pair.Columns)).Chunk(_microRows))
        {
            using var scope = NewDisposeScope();
            var lossB = Loss(micro, found);
            (lossB.sum() / LiveScalar.Of(rows)).backward();
        }
        found.AddOthers(_processes);
        double learningRate = _schedule.At(step), loss = found.Loss / rows;
        var (norm, isApplied) = _update.Apply(learningRate, double.IsFinite(loss));
        return new ObjectiveStep(loss, norm, learningRate, pairs.Sum(pair => (long)pair.Chosen.Length + pair.Rejected.Length), found.Scalars())
        {
            IsSkipped = !isApplied,
            Origin = string.Join(' ', pairs.Select(pair => pair.Origin)),
        };
    }

    public ObjectiveMeasurement? Measure(CancellationToken stop)
    {
        if (!_data.HasValidation)
        {
            return null;
        }
        _update.Model.eval();
        using var noGradient = no_grad();
        var losses = new Dictionary<string, double>(StringComparer.Ordinal);
        var total = new Sums();
        foreach (var source in _data.Sources.Where(source => source.Validation.Count > 0))
        {
            var found = new Sums();
            foreach (var portions in source.Validation.OrderBy(pair => pair.Columns).Chunk(_microRows).Chunk(_processes.Size))
            {
                _processes.ThrowIfStopped(stop);
                if (_processes.Rank < portions.Length)
                {
                    using var scope = NewDisposeScope();
                    Loss(portions[_processes.Rank], found);
                }
            }
            found.AddOthers(_processes);
            losses[source.Name] = found.Loss / found.Pairs;
            total.Add(found);
        }
        return new ObjectiveMeasurement(total.Loss / total.Pairs, losses, total.Scalars());
    }

    public Dictionary<string, IReadOnlyList<SafeTensor>> Weights()
    {
        var files = new Dictionary<string, IReadOnlyList<SafeTensor>>(StringComparer.Ordinal);
        _update.AddWeights(files);
        return files;
    }

    public void AddRest(Dictionary<string, IReadOnlyList<SafeTensor>> files) => _update.AddMoments(files);

    public void Restore(Checkpoint checkpoint, ObjectiveState state)
    {
        _update.RestoreWeights(checkpoint);
        _update.RestoreMoments(checkpoint, state.Updates["model"]);
    }

    public void RestoreWeights(Checkpoint best) => _update.RestoreWeights(best);

    public void Dispose() => _update.Dispose();

    /// <returns>The loss of each pair, [B].</returns>
    private Tensor Loss(EncodedPair[] pairs, Sums found)
    {
        var device = _update.Model.Device;
        var policy2B = PairLogProbs.Sums(_update.Model, pairs, _padding);
        var reference2B = tensor([.. pairs.Select(pair => _reference[pair].Chosen), .. pairs.Select(pair => _reference[pair].Rejected)], ScalarType.Float32, device);
        var tokens2B = tensor([.. pairs.Select(pair => (float)Math.Max(1, pair.Chosen.Length)), .. pairs.Select(pair => (float)Math.Max(1, pair.Rejected.Length))], ScalarType.Float32, device);
        var (ours, theirs) = (DpoLoss.PerAnswer(policy2B, tokens2B, _recipe.Dpo.Loss), DpoLoss.PerAnswer(reference2B, tokens2B, _recipe.Dpo.Loss));
        int count = pairs.Length;
        var lossB = DpoLoss.PerPair(ours.narrow(0, 0, count), ours.narrow(0, count, count), theirs.narrow(0, 0, count), theirs.narrow(0, count, count), _recipe.Dpo);
        found.Add(lossB, LiveScalar.Of(_recipe.Dpo.Beta) * (ours - theirs), policy2B);
        return lossB;
    }

    /// <summary>What is added up over pairs. Both sides' rewards are kept apart: both can fall while the gap grows.</summary>
    private sealed class Sums
    {
        private double _chosen, _rejected, _right, _chosenLogProb, _rejectedLogProb;

        public double Loss { get; private set; }
        public int Pairs { get; private set; }

        public void Add(Tensor lossB, Tensor rewards2B, Tensor logProbs2B)
        {
            float[] losses = Values(lossB), rewards = Values(rewards2B), logProbs = Values(logProbs2B);
            int count = losses.Length;
            for (int i = 0; i < count; i++)
            {
                Loss += losses[i];
                _chosen += rewards[i];
                _rejected += rewards[count + i];
                _chosenLogProb += logProbs[i];
                _rejectedLogProb += logProbs[count + i];
                _right += rewards[i] > rewards[count + i] ? 1 : 0;
            }
            Pairs += count;
        }

        public void Add(Sums other)
        {
            Loss += other.Loss;
            Pairs += other.Pairs;
            _chosen += other._chosen;
            _rejected += other._rejected;
            _right += other._right;
            _chosenLogProb += other._chosenLogProb;
            _rejectedLogProb += other._rejectedLogProb;
        }

        /// <summary>Adds what the other processes found.</summary>
        public void AddOthers(IProcessGroup processes)
        {
            double[] sums = [Loss, Pairs, _chosen, _rejected, _right, _chosenLogProb, _rejectedLogProb];
            processes.Sum(sums);
            (Loss, Pairs, _chosen, _rejected, _right, _chosenLogProb, _rejectedLogProb) = (sums[0], (int)sums[1], sums[2], sums[3], sums[4], sums[5], sums[6]);
        }

        public Dictionary<string, double> Scalars() => new(StringComparer.Ordinal)
        {
            ["accuracy"] = _right / Pairs,
            ["margin"] = (_chosen - _rejected) / Pairs,
            ["reward_chosen"] = _chosen / Pairs,
            ["reward_rejected"] = _rejected / Pairs,
            ["log_prob_chosen"] = _chosenLogProb / Pairs,
            ["log_prob_rejected"] = _rejectedLogProb / Pairs,
        };

        private static float[] Values(Tensor values)
        {
            using var plain = values.detach();
            using var near = plain.cpu();
            return near.data<float>().ToArray();
        }
    }
}
