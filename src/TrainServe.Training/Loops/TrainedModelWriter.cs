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
    /// <param name="replace">Whether the directory may hold a model already, as when a run is resumed.</param>
    /// <returns>The new model; or the one that is there, with its exports and certificates, where the same run has already made it.</returns>
    public static ModelPackage Write(Transformer model, string tokenizerDirectory, IReadOnlyList<int> stopTokenIds, Lineage lineage, string output, TimeProvider time, bool replace)
    {
        if (replace && Finished(lineage, output) is { } finished)
        {
            return finished;
        }
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

    // The run's lock and the checkpoint's identity say that it is this run's directory, data and recipe; the steps, that nothing was trained since.
    private static ModelPackage? Finished(Lineage lineage, string output)
    {
        if (!File.Exists(Path.Combine(output, ModelManifest.FileName)))
        {
            return null;
        }
        try
        {
            var package = ModelPackage.OpenVerified(output);
            var made = package.Manifest!.Lineage;
            return (made.Stage, made.RecipeSha256, made.Seed, made.Steps, made.Tokens) == (lineage.Stage, lineage.RecipeSha256, lineage.Seed, lineage.Steps, lineage.Tokens) ? package : null;
        }
        catch (InvalidDataException)
        {
            // Damaged: the checkpoint mends it.
            return null;
        }
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
