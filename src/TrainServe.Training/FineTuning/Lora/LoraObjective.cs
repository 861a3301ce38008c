using System.Globalization;
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

namespace TrainServe.Training.FineTuning.Lora;

/// <summary>Next-token loss, learned by low-rank adapters.</summary>
internal sealed class LoraObjective : IObjective
{
    private const string AdaptersFile = "adapter_model.safetensors", CursorPrefix = "rows_of_source_";
    private readonly FineTuningRecipe _recipe;
    private readonly Transformer _model;
    private readonly IBatchSource _data;
    private readonly IReadOnlyList<ValidationSource> _validation;
    private readonly AdamW _optimizer;
    private readonly TorchSharp.Modules.Parameter[] _weights, _factors;
    private readonly LearningRateSchedule _schedule;
    private readonly IProcessGroup _processes;
    private readonly BatchShare _share;
    private readonly GradientSum? _sum;
    private DataCursor _cursor;

    public LoraObjective(FineTuningRecipe recipe, Transformer model, IBatchSource data, IReadOnlyList<ValidationSource> validation, IProcessGroup processes)
    {
        (_recipe, _model, _data, _validation, _cursor, _processes) = (recipe, model, data, validation, data.Start, processes);
        _share = BatchShare.Of(recipe.Training, processes);
        Adapters = new LoraAdapters(model, recipe.Lora!, recipe.Seed);
        _optimizer = new AdamW(Adapters.Parameters, recipe.Optimizer);
        _factors = [.. Adapters.Parameters.Select(parameter => parameter.Weight)];
        _sum = processes.Size > 1 ? new GradientSum(processes, _factors) : null;
        _weights = [.. model.parameters()];
        TotalSteps = recipe.Training.StepsOver(data.RowsPerEpoch);
        _schedule = LearningRateSchedule.Of(recipe.Optimizer, TotalSteps);
    }

    public LoraAdapters Adapters { get; }
    public long TotalSteps { get; }
    public IEnumerable<TorchSharp.Modules.Parameter> Parameters => _factors;

    public ObjectiveState State => new()
    {
        Updates = new Dictionary<string, long>(StringComparer.Ordinal) { ["adapters"] = _optimizer.Updates },
        Values = _cursor.RowsBySource.Select((rows, source) => (Key: string.Create(CultureInfo.InvariantCulture, $"{CursorPrefix}{source}"), Value: (double)rows)).ToDictionary(StringComparer.Ordinal),
    };

    public void Begin(Action<string> note, CancellationToken stop) =>
        note(string.Create(CultureInfo.InvariantCulture, $"Low-rank adapters of {Adapters.ParameterCount:N0} weights are learned; the model's {_model.Config.ParameterCount:N0} stay."));

    public ObjectiveStep Advance(long step)
    {
        (var batches, _cursor) = _share.Read(_data, _cursor);
        long learned = (long)_processes.SumOf(batches.Sum(batch => (long)batch.LearnedTokens));
        if (learned == 0)
        {
            throw new InvalidDataException($"No token of the rows {TrainingStep.Origin(batches)} is to be learned, so that the step has no loss.");
        }
        _model.train();
        torch.manual_seed(unchecked((long)new PhiloxRandom(_recipe.Seed, RandomStreams.Of(RandomPurpose.Dropout, step, _processes.Rank)).NextUInt64()));
        double loss = 0;
        foreach (var batch in batches)
        {
            using var scope = torch.NewDisposeScope();
            var sum = BatchTensors.LossSum(_model, batch);
            (sum / LiveScalar.Of(learned)).backward();
            loss += sum.item<float>() / learned;
        }
        loss = _processes.SumOf(loss);
        Adapters.TakeGradients();
        // The factors' gradients are sums over rows as the weights' are, and far smaller.
        _sum?.Complete();
        Gradients.Clear(_weights);
        double norm = Gradients.GlobalNorm(_factors), rate = _schedule.At(step);
        bool isFinite = double.IsFinite(norm) && double.IsFinite(loss);
        if (isFinite)
        {
            _optimizer.Update(rate, Gradients.ClipFactor(norm, _recipe.Optimizer.ClipNorm));
            Adapters.Apply();
        }
        Gradients.Clear(_factors);
        return new ObjectiveStep(loss, norm, rate, learned, new Dictionary<string, double>(StringComparer.Ordinal)) { IsSkipped = !isFinite, Origin = TrainingStep.Origin(batches) };
    }

    public ObjectiveMeasurement? Measure(CancellationToken stop)
    {
        if (_validation.Count == 0)
        {
            return null;
        }
        var found = LossMeasurement.Run(_model, _validation, _processes, stop);
        return new ObjectiveMeasurement(found.Loss, found.LossBySource, found.Scalars);
    }

    public Dictionary<string, IReadOnlyList<SafeTensor>> Weights() => new(StringComparer.Ordinal) { [AdaptersFile] = Adapters.Save() };

    public void AddRest(Dictionary<string, IReadOnlyList<SafeTensor>> files) => files[TrainingLoop.MomentsFile] = _optimizer.Save();

    public void Restore(Checkpoint checkpoint, ObjectiveState state)
    {
        RestoreWeights(checkpoint);
        using var moments = checkpoint.OpenTensors(TrainingLoop.MomentsFile);
        _optimizer.Load(moments, state.Updates["adapters"]);
        _cursor = new DataCursor([.. Enumerable.Range(0, _cursor.RowsBySource.Count).Select(source => (long)state.Values[string.Create(CultureInfo.InvariantCulture, $"{CursorPrefix}{source}")])]);
    }

    public void RestoreWeights(Checkpoint best)
    {
        using var factors = best.OpenTensors(AdaptersFile);
        Adapters.Load(factors);
    }

    public void Dispose()
    {
        _optimizer.Dispose();
        Adapters.Dispose();
    }
}
