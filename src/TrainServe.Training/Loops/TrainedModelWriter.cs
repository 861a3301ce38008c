using TrainServe.Core.Packaging;
using TrainServe.Model;

namespace TrainServe.Training.Loops;

/// <summary>A trained model as a model directory.</summary>
public static class TrainedModelWriter
{
    /// <param name="model">With the weights to keep.</param>
    /// <param name="tokenizerDirectory">Its tokenizer's files.</param>
    /// <param name="stopTokenIds">What ends a text or a turn.</param>
    /// <param name="lineage">Where it comes from.</param>
    /// <param name="output">The directory.</param>
    /// <param name="time">For the manifest.</param>
    /// <param name="replace">Whether the directory may hold a model already, as when a finished run is resumed.</param>
    public static ModelPackage Write(Transformer model, string tokenizerDirectory, IReadOnlyList<int> stopTokenIds, Lineage lineage, string output, TimeProvider time, bool replace)
    {
        using var writer = new ModelPackageWriter(output, time, replace);
        var config = model.Config with { TorchDtype = "float32" };
        config.Write(writer.PathOf(ModelPackage.ConfigFile));
        new GenerationConfig { BosTokenId = config.BosTokenId, EosTokenId = stopTokenIds, PadTokenId = config.PadTokenId }.Write(writer.PathOf(ModelPackage.GenerationConfigFile));
        foreach (string file in (ReadOnlySpan<string>)[ModelPackage.TokenizerFile, ModelPackage.TokenizerConfigFile])
        {
            File.Copy(Path.Combine(tokenizerDirectory, file), writer.PathOf(file));
        }
        SafeTensorsWriter.Write(writer.PathOf(ModelPackage.WeightsFile), StateDictAdapter.Save(model));
        return writer.Complete(lineage);
    }

    /// <summary>What a run found, for the lineage.</summary>
    public static Dictionary<string, double> Results(TrainingState state, TrainingEnd end)
    {
        var results = new Dictionary<string, double>(StringComparer.Ordinal) { ["seconds"] = Math.Round(state.Seconds, 1), ["skipped_steps"] = state.SkippedSteps, ["stopped_early"] = end == TrainingEnd.StoppedEarly ? 1 : 0 };
        if (state.TrainLoss is { } loss)
        {
            results["train_loss"] = loss;
        }
        if (state.Best.BestLoss is { } best)
        {
            results["validation_loss"] = best;
            results["validation_step"] = state.Best.BestStep;
        }
        return results;
    }
}
