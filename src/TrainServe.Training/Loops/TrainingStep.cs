using TorchSharp;
using TrainServe.Model;
using TrainServe.Training.Data;
using TrainServe.Training.Distributed;
using TrainServe.Training.Optimization;

namespace TrainServe.Training.Loops;

/// <summary>What a step did.</summary>
/// <param name="Loss">Mean over the learned tokens, nats.</param>
/// <param name="GradientNorm">Before clipping.</param>
/// <param name="LearnedTokens">Tokens that had a target, of all processes.</param>
/// <param name="IsSkipped">The gradients were not finite, or a spike, so that no weight was changed.</param>
/// <param name="IsSpike">They were finite, but their norm was above the limit.</param>
public sealed record StepResult(double Loss, double GradientNorm, long LearnedTokens, bool IsSkipped, bool IsSpike = false);

/// <summary>One optimizer step: forward and backward over the micro-batches, clipping, update.</summary>
/// <remarks>
/// Every micro-batch's summed loss is divided by the learned tokens of all of them, in all processes, so that k micro-batches give the gradient of one batch k times as large,
/// however the tokens to be learned are spread. With several processes the gradients are added while backward goes on.
/// </remarks>
public sealed class TrainingStep
{
    private readonly Transformer _model;
    private readonly AdamW _optimizer;
    private readonly double _clipNorm;
    private readonly LossRegularization _regularization;
    private readonly TorchSharp.Modules.Parameter[] _parameters;
    private readonly IProcessGroup _processes;
    private readonly GradientSum? _sum;

    /// <param name="model">Trained.</param>
    /// <param name="optimizer">Of its weights.</param>
    /// <param name="clipNorm">Largest norm of all gradients together; 0 does not clip.</param>
    /// <param name="regularization">Added to the loss.</param>
    /// <param name="processes">That each do a part of every step; this one alone when null.</param>
    public TrainingStep(Transformer model, AdamW optimizer, double clipNorm, LossRegularization regularization = default, IProcessGroup? processes = null)
    {
        (_model, _optimizer, _clipNorm, _regularization) = (model, optimizer, clipNorm, regularization);
        _parameters = [.. model.parameters()];
        _processes = processes ?? SingleProcess.Instance;
        _sum = _processes.Size > 1 ? new GradientSum(_processes, _parameters) : null;
    }

    /// <param name="microBatches">At least one.</param>
    /// <param name="learningRate">Of this step.</param>
    /// <param name="dropoutSeed">Decides what dropout drops: the same seed, the same masks.</param>
    /// <param name="normLimit">A step whose gradient norm is above it changes nothing.</param>
    /// <exception cref="InvalidDataException">No token of the step is to be learned.</exception>
    public StepResult Run(IReadOnlyList<TokenBatch> microBatches, double learningRate, ulong dropoutSeed, double normLimit = double.PositiveInfinity)
    {
        long learned = (long)_processes.SumOf(microBatches.Sum(batch => (long)batch.LearnedTokens));
        if (learned == 0)
        {
            throw new InvalidDataException($"No token of the rows {Origin(microBatches)} is to be learned, so that the step has no loss.");
        }
        _model.train();
        torch.manual_seed(unchecked((long)dropoutSeed));
        double lossSum = 0;
        foreach (var batch in microBatches)
        {
            using var scope = torch.NewDisposeScope();
            bool isLast = ReferenceEquals(batch, microBatches[^1]);
            _model.BlockGradientsDone = _sum is not null && isLast ? BeginSum : null;
            var sum = BatchTensors.LossSum(_model, batch, _regularization);
            (sum / LiveScalar.Of(learned)).backward();
            lossSum += sum.item<float>();
        }
        _sum?.Complete();
        double norm = Gradients.GlobalNorm(_parameters), loss = _processes.SumOf(lossSum) / learned;
        bool isFinite = double.IsFinite(norm) && double.IsFinite(loss);
        bool isSpike = isFinite && norm > normLimit;
        if (isFinite && !isSpike)
        {
            _optimizer.Update(learningRate, Gradients.ClipFactor(norm, _clipNorm));
        }
        Gradients.Clear(_parameters);
        return new StepResult(loss, norm, learned, !isFinite || isSpike, isSpike);
    }

    private void BeginSum(int layer) => _sum!.Begin(_model.BlockParameters(layer));

    internal static string Origin(IEnumerable<TokenBatch> batches) => string.Join(' ', batches.Select(batch => batch.Origin));
}
