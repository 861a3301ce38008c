namespace TrainServe.Core.Packaging;

/// <summary>Which of a model's exports to run on the processor.</summary>
public static class PrecisionChoice
{
    public const string Auto = "auto";

    /// <summary>What may be asked for.</summary>
    public static IReadOnlyList<string> Names { get; } = [Auto, "fp32", "fp16", "int8", "int4"];

    // Eight bits compute about the same in a quarter of the memory; four bits cost quality; the processor turns half precision into single precision and back at every step.
    private static readonly string[] Preference = ["int8", "fp32", "int4", "fp16"];

    /// <param name="package">The model.</param>
    /// <param name="wanted">auto (int8 before fp32 before int4 before fp16, of what is there), or one of them.</param>
    /// <exception cref="InvalidDataException">The model has no export with a certificate; the message says how to make one.</exception>
    public static string Of(ModelPackage package, string wanted) => wanted != Auto
        ? wanted
        : Preference.FirstOrDefault(precision => package.Precisions.Contains(precision, StringComparer.Ordinal))
            ?? throw new InvalidDataException($"{package.Directory} has no export with a certificate; make one with: trainserve export --model {package.Directory}");
}
