using System.Buffers;
using System.Buffers.Binary;
using System.Globalization;
using System.Numerics;
using System.Text;

namespace TrainServe.Training.Metrics;

/// <summary>Writes scalars as TensorBoard's event files: TFRecord frames, each holding an Event message of tensorflow/core/util/event.proto.</summary>
/// <remarks>
/// TorchSharp's own SummaryWriter opens and closes the file for every number and stamps it with the time 0. The messages here are small enough to be written
/// by hand: a field is its number and wire type, then its value.
/// </remarks>
public sealed class TensorBoardWriter : IDisposable
{
    // Wire types of protocol buffers.
    private const int Varint = 0, Fixed64 = 1, Bytes = 2, Fixed32 = 5;
    private readonly FileStream _stream;
    private readonly TimeProvider _time;

    /// <param name="directory">What TensorBoard's --logdir names; made if missing.</param>
    /// <param name="time">For the stamps and the file's name.</param>
    /// <param name="firstStep">Scalars of this step and later ones in older files of the directory no longer count: a resumed run writes them again.</param>
    public TensorBoardWriter(string directory, TimeProvider time, long firstStep = 0)
    {
        _time = time;
        Directory.CreateDirectory(directory);
        string name = string.Create(CultureInfo.InvariantCulture, $"events.out.tfevents.{time.GetUtcNow().ToUnixTimeMilliseconds()}.{Environment.MachineName}.{Environment.ProcessId}");
        _stream = new FileStream(Path.Combine(directory, name), FileMode.Create, FileAccess.Write, FileShare.Read, 1 << 14);
        WriteEvent(null, message => Text(message, field: 3, "brain.Event:2"));
        WriteEvent(firstStep, message => Nested(message, field: 7, log => Number(log, field: 1, 1)));
    }

    public void Scalar(string tag, double value, long step) => WriteEvent(step, message => Nested(message, field: 5, summary => Nested(summary, field: 1, item =>
    {
        Text(item, field: 1, tag);
        Key(item, 2, Fixed32);
        BinaryPrimitives.WriteSingleLittleEndian(item.GetSpan(4), (float)value);
        item.Advance(4);
    })));

    public void Flush() => _stream.Flush();

    public void Dispose() => _stream.Dispose();

    private void WriteEvent(long? step, Action<ArrayBufferWriter<byte>> content)
    {
        var message = new ArrayBufferWriter<byte>();
        Key(message, 1, Fixed64);
        BinaryPrimitives.WriteDoubleLittleEndian(message.GetSpan(8), _time.GetUtcNow().ToUnixTimeMilliseconds() / 1000.0);
        message.Advance(8);
        if (step is { } number)
        {
            Number(message, field: 2, number);
        }
        content(message);

        Span<byte> header = stackalloc byte[12];
        BinaryPrimitives.WriteInt64LittleEndian(header, message.WrittenCount);
        BinaryPrimitives.WriteUInt32LittleEndian(header[8..], MaskedCrc(header[..8]));
        Span<byte> footer = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(footer, MaskedCrc(message.WrittenSpan));
        _stream.Write(header);
        _stream.Write(message.WrittenSpan);
        _stream.Write(footer);
    }

    /// <summary>CRC-32C, rotated and offset so that a checksum of data that holds checksums stays useful.</summary>
    internal static uint MaskedCrc(ReadOnlySpan<byte> data)
    {
        uint crc = uint.MaxValue;
        foreach (byte value in data)
        {
            crc = BitOperations.Crc32C(crc, value);
        }
        crc = ~crc;
        return BitOperations.RotateRight(crc, 15) + 0xa282ead8;
    }

    private static void Key(ArrayBufferWriter<byte> message, int field, int wireType) => VarintValue(message, ((ulong)field << 3) | (uint)wireType);

    private static void Number(ArrayBufferWriter<byte> message, int field, long value)
    {
        Key(message, field, Varint);
        VarintValue(message, (ulong)value);
    }

    private static void Text(ArrayBufferWriter<byte> message, int field, string value)
    {
        Key(message, field, Bytes);
        VarintValue(message, (ulong)Encoding.UTF8.GetByteCount(value));
        Encoding.UTF8.GetBytes(value, message);
    }

    private static void Nested(ArrayBufferWriter<byte> message, int field, Action<ArrayBufferWriter<byte>> content)
    {
        var inner = new ArrayBufferWriter<byte>();
        content(inner);
        Key(message, field, Bytes);
        VarintValue(message, (ulong)inner.WrittenCount);
        message.Write(inner.WrittenSpan);
    }

    private static void VarintValue(ArrayBufferWriter<byte> message, ulong value)
    {
        for (; value >= 0x80; value >>= 7)
        {
            message.Write([(byte)(value | 0x80)]);
        }
        message.Write([(byte)value]);
    }
}
