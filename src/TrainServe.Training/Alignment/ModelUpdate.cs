using TrainServe.Core.Packaging;
using TrainServe.Model;
using TrainServe.Training.Checkpointing;
using TrainServe.Training.Distributed;
using TrainServe.Training.Optimization;
using TrainServe.Training.Recipes;

namespace TrainServe.Training.Alignment;

/// <summary>A model with its optimizer: what one backward pass after the other adds up to is clipped and applied at once.</summary>
internal sealed class ModelUpdate : IDisposable
{
    private readonly AdamW _optimizer;
    private readonly TorchSharp.Modules.Parameter[] _parameters;
    private readonly GradientSum? _sum;
    private readonly double _clipNorm;
    private readonly string _weightsFile, _momentsFile;

    /// <param name="model">Trained.</param>
    /// <param name="settings">Of the optimizer.</param>
    /// <param name="weightsFile">Its name in a checkpoint.</param>
    /// <param name="momentsFile">The optimizer's.</param>
    /// <param name="processes">That each compute a part of every update's gradients.</param>
    public ModelUpdate(Transformer model, OptimizerSection settings, string weightsFile, string momentsFile, IProcessGroup processes)
    {
        (Model, _clipNorm, _weightsFile, _momentsFile) = (model, settings.ClipNorm, weightsFile, momentsFile);
        _optimizer = new AdamW(model.named_parameters().Select(parameter => (parameter.name, parameter.parameter)), settings, model.MatrixParts);
        _parameters = [.. model.parameters()];
        _sum = processes.Size > 1 ? new GradientSum(processes, _parameters) : null;
    }

    public Transformer Model { get; }
    public IEnumerable<TorchSharp.Modules.Parameter> Parameters => _parameters;
    public long Updates => _optimizer.Updates;

    /// <summary>Adds the gradients that there are over all processes, applies them unless one is not finite, and removes them.</summary>
    /// <param name="learningRate">Of this update.</param>
    /// <param name="isLossFinite">False applies nothing; the same in all processes.</param>
    /// <returns>Their norm before clipping, and whether the weights were changed.</returns>
    public (double Norm, bool IsApplied) Apply(double learningRate, bool isLossFinite = true)
    {
        _sum?.CompleteSome();
        double norm = Gradients.GlobalNorm(_parameters);
        bool isApplied = isLossFinite && double.IsFinite(norm);
        if (isApplied)
        {
            _optimizer.Update(learningRate, Gradients.ClipFactor(norm, _clipNorm));
        }
        Gradients.Clear(_parameters);
        return (norm, isApplied);
    }

    public void AddWeights(Dictionary<string, IReadOnlyList<SafeTensor>> files) => files[_weightsFile] = StateDictAdapter.Save(Model);

    public void AddMoments(Dictionary<string, IReadOnlyList<SafeTensor>> files) => files[_momentsFile] = _optimizer.Save();

    public void RestoreWeights(Checkpoint checkpoint)
    {
        using var weights = checkpoint.OpenTensors(_weightsFile);
        StateDictAdapter.Load(Model, weights);
    }

    public void RestoreMoments(Checkpoint checkpoint, long updates)
    {
        using var moments = checkpoint.OpenTensors(_momentsFile);
        _optimizer.Load(moments, updates);
    }

    public void Dispose() => _optimizer.Dispose();
}
