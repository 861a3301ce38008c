namespace TrainServe.Export;

/// <summary>How weights are stored in the graph.</summary>
public sealed record ExportPrecision
{
    private ExportPrecision(string name) => Name = name;

    /// <summary>The folder's name below <c>onnx/</c>.</summary>
    public string Name { get; }

    /// <summary>Weights as they are, in single precision.</summary>
    public static ExportPrecision Fp32 { get; } = new("fp32");

    /// <exception cref="ArgumentException">There is no such precision.</exception>
    public static ExportPrecision Parse(string name) => name == Fp32.Name
        ? Fp32
        : throw new ArgumentException($"The precision is {name}; it must be fp32.", nameof(name));

    public override string ToString() => Name;
}
