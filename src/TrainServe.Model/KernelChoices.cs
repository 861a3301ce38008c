namespace TrainServe.Model;

/// <summary>Which implementation of each operation runs. The last bits of a run depend on it, so that every checkpoint records it.</summary>
public sealed record KernelChoices
{
    // By which a user narrows the vector instructions that libtorch and its libraries choose from; without them the processor decides.
    private static readonly string[] Variables = ["ATEN_CPU_CAPABILITY", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"];

    /// <summary>Forward, backward and update.</summary>
    public string TrainingStep { get; init; } = "torch float32";

    /// <summary>What decides libtorch's own choice: the environment's variables that are set, or the processor.</summary>
    public required string Libtorch { get; init; }

    /// <param name="variable">Reads a variable of the environment; the process's own when null.</param>
    public static KernelChoices Current(Func<string, string?>? variable = null)
    {
        var read = variable ?? Environment.GetEnvironmentVariable;
        var set = Variables.Select(name => (Name: name, Value: read(name))).Where(pair => !string.IsNullOrEmpty(pair.Value)).Select(pair => $"{pair.Name}={pair.Value}");
        string chosen = string.Join(' ', set);
        return new KernelChoices { Libtorch = chosen.Length > 0 ? chosen : "as the processor allows" };
    }

    /// <summary>Those of a model that is about to be trained.</summary>
    public static KernelChoices Of(Transformer model) => Current() with { TrainingStep = model.Kernels.Name };

    /// <summary>For a checkpoint and for messages.</summary>
    public override string ToString() => $"{TrainingStep}, libtorch {Libtorch}";
}
