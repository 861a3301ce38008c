using Google.Protobuf;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;
using TrainServe.Core.Packaging;
using TrainServe.Export.Protos;
using TrainServe.Inference.Execution;
using TrainServe.Inference.Kernels;

namespace TrainServe.Inference.Tests.Kernels;

/// <summary>A session over a few nodes.</summary>
internal sealed class OperatorGraph : IDisposable
{
    private readonly InferenceSession _session;

    public OperatorGraph(IReadOnlyList<NodeProto> nodes, IReadOnlyList<(string Name, Type Type)> inputs, IReadOnlyList<(string Name, Type Type)> outputs, int threads = 2)
    {
        var graph = new GraphProto { Name = "operators" };
        graph.Node.AddRange(nodes);
        graph.Input.AddRange(inputs.Select(input => Declared(input.Name, input.Type)));
        graph.Output.AddRange(outputs.Select(output => Declared(output.Name, output.Type)));
        var model = new ModelProto { IrVersion = 10, Graph = graph };
        foreach (var (domain, version) in new[] { ("", 21), ("com.microsoft", 1), (GraphNames.KernelDomain, 1) })
        {
            model.OpsetImport.Add(new OperatorSetIdProto { Domain = domain, Version = version });
        }
        OnnxRuntimeLibrary.Load();
        using var options = new SessionOptions { IntraOpNumThreads = threads, InterOpNumThreads = 1, LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_FATAL };
        _session = KernelDomain.Open(options, opened => new InferenceSession(model.ToByteArray(), opened));
    }

    public static NodeProto Node(string op, string domain, string[] inputs, string[] outputs, params AttributeProto[] attributes)
    {
        var node = new NodeProto { OpType = op, Domain = domain };
        node.Input.AddRange(inputs);
        node.Output.AddRange(outputs);
        node.Attribute.AddRange(attributes);
        return node;
    }

    /// <summary>Runs the nodes; results come in the order of the declared outputs.</summary>
    public IReadOnlyList<Array> Run(params (string Name, Array Values, long[] Shape)[] inputs)
    {
        var values = inputs.Select(input => Value(input.Values, input.Shape)).ToList();
        try
        {
            using var options = new RunOptions();
            using var results = _session.Run(options, [.. inputs.Select(input => input.Name)], values, [.. _session.OutputNames]);
            return [.. results.Select(ToArray)];
        }
        finally
        {
            values.ForEach(value => value.Dispose());
        }
    }

    public bool Takes(string input) => _session.InputMetadata.ContainsKey(input);

    public void Dispose() => _session.Dispose();

    private static Array ToArray(OrtValue value) => value.GetTensorTypeAndShape().ElementDataType switch
    {
        TensorElementType.Float => value.GetTensorDataAsSpan<float>().ToArray(),
        TensorElementType.UInt8 => value.GetTensorDataAsSpan<byte>().ToArray(),
        _ => value.GetTensorDataAsSpan<sbyte>().ToArray(),
    };

    private static OrtValue Value(Array values, long[] shape) => values switch
    {
        float[] singles => OrtValue.CreateTensorValueFromMemory(singles, shape),
        // To the runtime an array of bytes is one of signed bytes too.
        _ when values.GetType() == typeof(byte[]) => OrtValue.CreateTensorValueFromMemory((byte[])values, shape),
        sbyte[] bytes => OrtValue.CreateTensorValueFromMemory(bytes, shape),
        long[] integers => OrtValue.CreateTensorValueFromMemory(integers, shape),
        _ => OrtValue.CreateTensorValueFromMemory((int[])values, shape),
    };

    private static ValueInfoProto Declared(string name, Type type)
    {
        int element = type == typeof(float) ? 1 : type == typeof(byte) ? 2 : type == typeof(sbyte) ? 3 : type == typeof(int) ? 6 : 7;
        return new ValueInfoProto { Name = name, Type = new TypeProto { TensorType = new TypeProto.Types.Tensor { ElemType = element } } };
    }
}
