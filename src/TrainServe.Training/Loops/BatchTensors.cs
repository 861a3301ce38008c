using TorchSharp;
using TrainServe.Model;
using TrainServe.Training.Data;
using static TorchSharp.torch;

namespace TrainServe.Training.Loops;

// B rows, T time, V vocabulary.

/// <summary>A batch on the device, and its loss.</summary>
internal static class BatchTensors
{
    /// <summary>The sum of the losses of all tokens to be learned, in nats; a scalar, owned by the caller.</summary>
    /// <remarks>Texts that share a row do not attend to each other. Rotary positions are relative, so that they need not begin anew.</remarks>
    public static Tensor LossSum(Transformer model, TokenBatch batch, LossRegularization regularization = default)
    {
        using var scope = NewDisposeScope();
        var inputsBT = Ids(batch.Inputs, batch, model.Device);
        var targetsBT = Ids(batch.Targets, batch, model.Device);
        var documentsBT = batch.Segments is { } segments ? Ids(segments, batch, model.Device) : null;
        return model.LossSum(model.Hidden(inputsBT, documentsBT: documentsBT), targetsBT, regularization).MoveToOuterDisposeScope();
    }

    private static Tensor Ids(int[] values, TokenBatch batch, Device device)
    {
        var here = tensor(values, [batch.Rows, batch.Columns], ScalarType.Int64);
        // From memory that stays where it is a GPU fetches by itself, while this thread goes on.
        return device.type == DeviceType.CPU ? here : here.pin_memory().to(device, non_blocking: true);
    }
}
