using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using Google.Protobuf;
using Google.Protobuf.Collections;
using TrainServe.Export.Protos;
using static TrainServe.Export.Protos.AttributeProto.Types;
using DataType = TrainServe.Export.Protos.TensorProto.Types.DataType;

namespace TrainServe.Export;

/// <summary>Nodes, weights, inputs and outputs of a graph, in the order in which they are added.</summary>
/// <param name="data">Where weights are written to.</param>
/// <param name="numbers">The type of numbers that are not quantized: single or half precision.</param>
internal sealed class GraphWriter(ExternalDataWriter data, DataType numbers = DataType.Float)
{
    /// <summary>Domain of the runtime's own operators.</summary>
    public const string Contrib = "com.microsoft";

    public GraphProto Graph { get; } = new() { Name = "transformer" };

    /// <inheritdoc cref="GraphWriter" path="/param[@name='numbers']"/>
    public DataType Numbers => numbers;

    /// <summary>Writes a weight into the external data.</summary>
    /// <exception cref="InvalidDataException">A number is too large for half precision.</exception>
    public string Initializer(string name, long[] shape, ReadOnlySpan<float> values)
    {
        RequireCount(name, shape, values.Length);
        if (numbers == DataType.Float16)
        {
            var halves = new Half[values.Length];
            TensorPrimitives.ConvertToHalf(values, halves);
            return Array.TrueForAll(halves, Half.IsFinite) ? Add(data.Write(name, numbers, shape, MemoryMarshal.AsBytes<Half>(halves)))
                : throw new InvalidDataException($"{name} has a number that half precision cannot hold, which ends at {(float)Half.MaxValue}; export another precision.");
        }
        return Add(data.Write(name, DataType.Float, shape, MemoryMarshal.AsBytes(values)));
    }

    /// <inheritdoc cref="Initializer(string, long[], ReadOnlySpan{float})"/>
    public string Initializer(string name, long[] shape, ReadOnlySpan<byte> values)
    {
        RequireCount(name, shape, values.Length);
        return Add(data.Write(name, DataType.Uint8, shape, values));
    }

    /// <inheritdoc cref="Initializer(string, long[], ReadOnlySpan{float})"/>
    public string Initializer(string name, long[] shape, ReadOnlySpan<sbyte> values)
    {
        RequireCount(name, shape, values.Length);
        return Add(data.Write(name, DataType.Int8, shape, MemoryMarshal.AsBytes(values)));
    }

    /// <summary>The bytes of a weight that was written before, under another name and shape.</summary>
    public string Alias(string name, long[] shape, string original)
    {
        var tensor = Graph.Initializer.Single(other => other.Name == original).Clone();
        tensor.Name = name;
        tensor.Dims.Clear();
        tensor.Dims.AddRange(shape);
        return Add(tensor);
    }

    /// <summary>A list of integers that lies in the graph itself, the same one however often it is asked for.</summary>
    public string Constant(string name, params long[] values) => Small(name, DataType.Int64, MemoryMarshal.AsBytes<long>(values), values.Length);

    /// <summary>A number that lies in the graph itself, the same one however often it is asked for.</summary>
    public string Scalar(string name, float value) => Small(name, DataType.Float, BitConverter.GetBytes(value));

    /// <inheritdoc cref="Scalar(string, float)"/>
    public string Scalar(string name, byte value) => Small(name, DataType.Uint8, [value]);

    /// <summary>Adds a node with one output, and gives its name.</summary>
    public string Node(string op, string name, string[] inputs, string domain = "", params AttributeProto[] attributes) =>
        Node(op, name, inputs, [$"{name}.out"], domain, attributes).Output[0];

    public NodeProto Node(string op, string name, string[] inputs, string[] outputs, string domain, params AttributeProto[] attributes)
    {
        var node = new NodeProto { OpType = op, Name = name, Domain = domain };
        node.Input.AddRange(inputs);
        node.Output.AddRange(outputs);
        node.Attribute.AddRange(attributes);
        Graph.Node.Add(node);
        return node;
    }

    public void Input(string name, DataType type, params object[] dimensions) => Declare(Graph.Input, name, type, dimensions);

    /// <param name="name">Of the tensor.</param>
    /// <param name="type">Of its values.</param>
    /// <param name="dimensions">A number (long) where the size is fixed, a letter (string) where it is not.</param>
    public void Output(string name, DataType type, params object[] dimensions) => Declare(Graph.Output, name, type, dimensions);

    public static AttributeProto Integer(string name, long value) => new() { Name = name, I = value, Type = AttributeType.Int };

    public static AttributeProto Float(string name, float value) => new() { Name = name, F = value, Type = AttributeType.Float };

    public static AttributeProto Text(string name, string value) => new() { Name = name, S = ByteString.CopyFromUtf8(value), Type = AttributeType.String };

    private static void Declare(RepeatedField<ValueInfoProto> list, string name, DataType type, object[] dimensions)
    {
        var shape = new TensorShapeProto();
        foreach (object dimension in dimensions)
        {
            shape.Dim.Add(dimension is long size ? new TensorShapeProto.Types.Dimension { DimValue = size } : new TensorShapeProto.Types.Dimension { DimParam = (string)dimension });
        }
        list.Add(new ValueInfoProto { Name = name, Type = new TypeProto { TensorType = new TypeProto.Types.Tensor { ElemType = (int)type, Shape = shape } } });
    }

    private string Small(string name, DataType type, ReadOnlySpan<byte> bytes, params ReadOnlySpan<long> shape)
    {
        if (Graph.Initializer.Any(other => other.Name == name))
        {
            return name;
        }
        var tensor = new TensorProto { Name = name, DataType = (int)type, RawData = ByteString.CopyFrom(bytes) };
        tensor.Dims.AddRange(shape.ToArray());
        return Add(tensor);
    }

    private string Add(TensorProto tensor)
    {
        Graph.Initializer.Add(tensor);
        return tensor.Name;
    }

    private static void RequireCount(string name, long[] shape, int count)
    {
        if (shape.Aggregate(1L, (product, size) => checked(product * size)) != count)
        {
            throw new ArgumentException($"{name} has {count} values for the shape [{string.Join(", ", shape)}].", nameof(shape));
        }
    }
}
