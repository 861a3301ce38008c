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

namespace TrainServe.Training.RewardModeling;

// B pairs.

/// <summary>A score that is higher for the better of two answers.</summary>
internal sealed class RewardObjective : IObjective
{
    private readonly RewardRecipe _recipe;
    private readonly PreferenceData _data;
    private readonly ExampleOrder _order;
    private readonly ModelUpdate _update;
    private readonly LearningRateSchedule _schedule;
    private readonly IProcessGroup _processes;
    private readonly int _padding, _microRows;

    public RewardObjective(RewardRecipe recipe, PreferenceData data, Transformer model, int padding, IProcessGroup processes)
    {
        (_recipe, _data, _padding, _processes) = (recipe, data, padding, processes);
        _order = data.Order(recipe.Seed);
        TotalSteps = recipe.Training.StepsOver(_order.Count);
        _schedule = LearningRateSchedule.Of(recipe.Optimizer, TotalSteps);
        _microRows = BatchShare.Of(recipe.Training, processes).MicroRows;
        _update = new ModelUpdate(model, recipe.Optimizer, TrainingLoop.WeightsFile, TrainingLoop.MomentsFile, processes);
    }

    public ExampleOrder Order => _order;
    public long TotalSteps { get; }
    public IEnumerable<TorchSharp.Modules.Parameter> Parameters => _update.Parameters;
    public ObjectiveState State => new() { Updates = new Dictionary<string, long>(StringComparer.Ordinal) { ["model"] = _update.Updates } };

    public void Begin(Action<string> note, CancellationToken stop)
    {
        // There is nothing to make.
    }

    public ObjectiveStep Advance(long step)
    {
        int rows = _recipe.Training.BatchRows;
        var pairs = _data.Take(_order, step * rows, rows);
        _update.Model.train();
        manual_seed(unchecked((long)new PhiloxRandom(_recipe.Seed, RandomStreams.Of(RandomPurpose.Dropout, step, _processes.Rank)).NextUInt64()));
        double lossSum = 0, alongSum = 0, nextSum = 0, right = 0, margins = 0;
        long learned = pairs.Sum(pair => (long)pair.Chosen.Length);
        // Pairs of like length go together, and every process gets long and short ones: less padding, and the sums over the batch stay the same.
        foreach (var micro in _processes.Dealt(pairs.OrderBy(pair => pair.Columns)).Chunk(_microRows))
        {
            using var scope = NewDisposeScope();
            Answer[] chosen = [.. micro.Select(pair => pair.Chosen)], rejected = [.. micro.Select(pair => pair.Rejected)];
            var (hiddenBTC, chosenB, rejectedB) = AnswerTensors.Pairs(_update.Model, chosen, rejected, _padding);
            var marginB = tensor(micro.Select(pair => (float)(pair.Margin + _recipe.Reward.Margin)).ToArray());
            var loss = PreferenceLoss.Sum(chosenB, rejectedB, marginB.to(chosenB.device));
            lossSum += loss.item<float>();
            var total = _recipe.Reward.Centering > 0 ? loss.Plus(LiveScalar.Of(_recipe.Reward.Centering) * PreferenceLoss.Centering(chosenB, rejectedB)) : loss;
            if (_recipe.Reward.EveryToken > 0)
            {
                var (chosenN, rejectedN, weightsN) = AnswerTensors.ScoresAlong(_update.Model, hiddenBTC, chosen, rejected);
                var along = PreferenceLoss.AlongSum(chosenN, rejectedN, weightsN);
                alongSum += along.item<float>();
                total = total.Plus(LiveScalar.Of(_recipe.Reward.EveryToken) * along);
            }
            total /= LiveScalar.Of(rows);
            if (_recipe.Reward.LanguageModeling > 0)
            {
                // The tokens of the whole batch divide, so that micro-batches change nothing.
                var next = _update.Model.LossSum(hiddenBTC.narrow(0, 0, chosen.Length), AnswerTensors.Targets(chosen, hiddenBTC.shape[1], hiddenBTC.device));
                nextSum += next.item<float>();
                total = total.Plus(LiveScalar.Of(_recipe.Reward.LanguageModeling / learned) * next);
            }
            total.backward();
            double[] differences = (chosenB - rejectedB).to(ScalarType.Float64).cpu().data<double>().ToArray();
            right += differences.Count(difference => difference > 0);
            margins += differences.Sum();
        }
        double[] sums = [lossSum, alongSum, nextSum, right, margins];
        _processes.Sum(sums);
        (lossSum, alongSum, nextSum, right, margins) = (sums[0], sums[1], sums[2], sums[3], sums[4]);
        double learningRate = _schedule.At(step);
        var (norm, isApplied) = _update.Apply(learningRate, double.IsFinite(lossSum + alongSum + nextSum));
        var scalars = new Dictionary<string, double>(StringComparer.Ordinal)
        {
            ["accuracy"] = right / rows,
            ["margin"] = margins / rows,
        };
        if (_recipe.Reward.EveryToken > 0)
        {
            scalars["loss_every_token"] = alongSum / rows;
        }
        if (_recipe.Reward.LanguageModeling > 0)
        {
            scalars["loss_language_modeling"] = nextSum / learned;
        }
        return new ObjectiveStep(lossSum / rows, norm, learningRate, pairs.Sum(pair => (long)pair.Chosen.Ids.Length + pair.Rejected.Ids.Length), scalars)
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
        var losses = new Dictionary<string, double>(StringComparer.Ordinal);
        var scalars = new Dictionary<string, double>(StringComparer.Ordinal);
        var all = new List<double>();
        foreach (var (name, differences) in HeldOutDifferences(stop))
        {
            var found = PreferenceAccuracy.Of(differences);
            losses[name] = found.Loss;
            scalars[$"accuracy/{name}"] = found.Accuracy;
            all.AddRange(differences);
        }
        var total = PreferenceAccuracy.Of(all);
        return new ObjectiveMeasurement(total.Loss, losses, new Dictionary<string, double>(StringComparer.Ordinal)
        {
            ["accuracy"] = total.Accuracy,
            ["ties"] = total.Ties,
            ["calibration_error"] = total.CalibrationError,
        }.Concat(losses.Count > 1 ? scalars : []).ToDictionary(StringComparer.Ordinal));
    }

    /// <summary>Scores of better answers minus others, of each source that has pairs held out.</summary>
    public IEnumerable<(string Name, IReadOnlyList<double> Differences)> HeldOutDifferences(CancellationToken stop = default)
    {
        foreach (var source in _data.Sources.Where(source => source.Validation.Count > 0))
        {
            yield return (source.Name, Differences(source.Validation, stop));
        }
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

    private double[] Differences(IReadOnlyList<EncodedPair> pairs, CancellationToken stop)
    {
        _update.Model.eval();
        using var noGradient = no_grad();
        var portions = pairs.OrderBy(pair => pair.Columns).Chunk(_microRows).ToList();
        var differences = new double[portions.Count][];
        for (int first = 0; first < portions.Count; first += _processes.Size)
        {
            _processes.ThrowIfStopped(stop);
            int own = first + _processes.Rank;
            if (own < portions.Count)
            {
                using var scope = NewDisposeScope();
                var (_, chosenB, rejectedB) = AnswerTensors.Pairs(_update.Model, [.. portions[own].Select(pair => pair.Chosen)], [.. portions[own].Select(pair => pair.Rejected)], _padding);
                differences[own] = (chosenB - rejectedB).to(ScalarType.Float64).cpu().data<double>().ToArray();
            }
        }
        return [.. SharedRows.Complete(_processes, differences).SelectMany(found => found)];
    }
}
