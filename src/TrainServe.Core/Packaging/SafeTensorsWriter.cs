using System.Buffers.Binary;
using System.Text.Json;
using TrainServe.Core.IO;

namespace TrainServe.Core.Packaging;

/// <summary>Writes the safetensors format: 8 bytes of header length, a JSON header, the tensors one after the other.</summary>
/// <remarks>Same tensors in the same order give the same bytes. The data starts at a multiple of 64 bytes.</remarks>
public static class SafeTensorsWriter
{
    /// <exception cref="ArgumentException">Two tensors share a name, or one wrote another number of bytes than its shape says.</exception>
    /// <exception cref="IOException">The disk is full or failed; an older file of this name is intact.</exception>
    public static void Write(string path, IReadOnlyList<SafeTensor> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        var header = Header(tensors, metadata);
        DurableFile.Write(path, stream =>
        {
            Span<byte> length = stackalloc byte[8];
            BinaryPrimitives.WriteInt64LittleEndian(length, header.Length);
            stream.Write(length);
            stream.Write(header);
            foreach (var tensor in tensors)
            {
                long start = stream.Position;
                tensor.WriteTo(stream);
                if (stream.Position - start != tensor.SizeBytes)
                {
                    throw new ArgumentException($"{tensor.Name} wrote {stream.Position - start} bytes where its shape says {tensor.SizeBytes}.", nameof(tensors));
                }
            }
        });
    }

    private static byte[] Header(IReadOnlyList<SafeTensor> tensors, IReadOnlyDictionary<string, string>? metadata)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteStartObject("__metadata__");
            json.WriteString("format", "pt");
            foreach (var (key, value) in metadata ?? new Dictionary<string, string>(StringComparer.Ordinal))
            {
                json.WriteString(key, value);
            }
            json.WriteEndObject();
            var names = new HashSet<string>(StringComparer.Ordinal);
            long offset = 0;
            foreach (var tensor in tensors)
            {
                if (!names.Add(tensor.Name))
                {
                    throw new ArgumentException($"Two tensors are named {tensor.Name}.", nameof(tensors));
                }
                json.WriteStartObject(tensor.Name);
                json.WriteString("dtype", tensor.Type.Word());
                json.WriteStartArray("shape");
                foreach (long dimension in tensor.Shape)
                {
                    json.WriteNumberValue(dimension);
                }
                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(offset);
                json.WriteNumberValue(offset = checked(offset + tensor.SizeBytes));
                json.WriteEndArray();
                json.WriteEndObject();
            }
            json.WriteEndObject();
        }
        int padding = (int)(-(8 + buffer.Length) & 63);
        buffer.Write(Enumerable.Repeat((byte)' ', padding).ToArray());
        return buffer.ToArray();
    }
}
