using System.Globalization;
using TrainServe.Export.Protos;

namespace TrainServe.Export;

/// <summary>Writes a graph's weights, one after the other, into the file beside it.</summary>
/// <remarks>Each tensor starts at a multiple of 4,096 bytes, so that ONNX Runtime can map it. Nothing is held in memory but the tensor at hand.</remarks>
internal sealed class ExternalDataWriter : IDisposable
{
    private const int Alignment = 4096;
    private readonly FileStream _stream;
    private readonly string _fileName;

    public ExternalDataWriter(string path)
    {
        _fileName = Path.GetFileName(path);
        _stream = new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.None, 1 << 20);
    }

    public TensorProto Write(string name, TensorProto.Types.DataType type, long[] shape, ReadOnlySpan<byte> bytes)
    {
        int padding = (int)(-_stream.Position & (Alignment - 1));
        _stream.Write(new byte[padding]);
        long offset = _stream.Position;
        _stream.Write(bytes);
        var tensor = new TensorProto { Name = name, DataType = (int)type, DataLocation = TensorProto.Types.DataLocation.External };
        tensor.Dims.AddRange(shape);
        tensor.ExternalData.Add(Entry("location", _fileName));
        tensor.ExternalData.Add(Entry("offset", offset.ToString(CultureInfo.InvariantCulture)));
        tensor.ExternalData.Add(Entry("length", bytes.Length.ToString(CultureInfo.InvariantCulture)));
        return tensor;
    }

    public void Dispose() => _stream.Dispose();

    internal static StringStringEntryProto Entry(string key, string value) => new() { Key = key, Value = value };
}
