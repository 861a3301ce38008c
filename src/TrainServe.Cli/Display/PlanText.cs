using TrainServe.Core.Packaging;
using TrainServe.Training.Loops;

namespace TrainServe.Cli.Display;

/// <summary>A run's plan and end in words.</summary>
internal static class PlanText
{
    public static IEnumerable<string> Lines(TrainingPlan plan)
    {
        var model = plan.Model;
        yield return $"model: {model.ParameterCount:N0} parameters ({model.NumHiddenLayers} layers of width {model.HiddenSize}, {model.NumAttentionHeads} heads, {model.VocabSize:N0} tokens)";
        yield return $"memory: about {Mebibytes(plan.Memory.TotalBytes)} beside libtorch ({Mebibytes(plan.Memory.WeightsBytes)} weights, gradients and moments, {Mebibytes(plan.Memory.ActivationsBytes)} activations)";
        foreach (var source in plan.Sources)
        {
            yield return $"data: {source.Name}, {source.Share:P1} of the rows, {source.TrainTokens:N0} tokens to train on, {source.ValidationTokens:N0} to validate on";
        }
        string micro = plan.MicroBatchRows == plan.BatchRows ? "" : $" in parts of {plan.MicroBatchRows}";
        yield return $"steps: {plan.TotalSteps:N0} of {plan.BatchRows} rows{micro} of {plan.Columns} tokens: {plan.TotalTokens:N0} tokens, {plan.Epochs:N2} epochs";
        if (plan.ActivationCheckpointing)
        {
            yield return "activation checkpointing: blocks are computed again in the backward pass, for less memory";
        }
        if (plan.Processes.Size > 1)
        {
            yield return $"processes: {plan.Processes.Size}, {plan.BatchRows / plan.Processes.Size} rows of a step each; memory is what one of them takes";
        }
        foreach (string note in plan.Notes)
        {
            yield return $"note: {note}";
        }
    }

    public static string Ending(TrainingOutcome outcome, ModelPackage package)
    {
        var state = outcome.State;
        string loss = state.Best.BestLoss is { } best ? $"best validation loss {best:F4} at step {state.Best.BestStep}" : $"last training loss {state.TrainLoss:F4}";
        string end = outcome.End == TrainingEnd.StoppedEarly ? $"Stopped early at step {state.Step}" : $"Done: {state.Step} steps";
        return $"{end}, {state.LearnedTokens:N0} tokens in {Duration(TimeSpan.FromSeconds(state.Seconds))}, {loss}. The model is in {package.Directory}";
    }

    /// <summary>A stage's own numbers, the first few of them: a line holds no more.</summary>
    public static string Scalars(IReadOnlyDictionary<string, double> scalars) => string.Concat(scalars.Take(4).Select(scalar => $"  {scalar.Key} {scalar.Value:0.####}"));

    public static string Duration(TimeSpan time) =>
        time.TotalHours >= 1 ? $"{(int)time.TotalHours} h {time.Minutes:D2} min" : time.TotalMinutes >= 1 ? $"{time.Minutes} min {time.Seconds:D2} s" : $"{time.TotalSeconds:F0} s";

    private static string Mebibytes(long bytes) => $"{bytes / (1024.0 * 1024):N0} MiB";
}
