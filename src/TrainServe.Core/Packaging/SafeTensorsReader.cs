using System.Buffers.Binary;
using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;

namespace TrainServe.Core.Packaging;

/// <summary>A safetensors file, mapped into memory. The header is checked when it is opened; the data only by the package's hashes.</summary>
/// <remarks>Spans that it gives are valid until it is disposed.</remarks>
public sealed unsafe class SafeTensorsReader : IDisposable
{
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;
    private byte* _start;

    private SafeTensorsReader(string path, MemoryMappedFile file, MemoryMappedViewAccessor view)
    {
        (Path, _file, _view) = (path, file, view);
        view.SafeMemoryMappedViewHandle.AcquirePointer(ref _start);
    }

    public string Path { get; }
    public IReadOnlyDictionary<string, SafeTensorEntry> Entries { get; private set; } = new Dictionary<string, SafeTensorEntry>(StringComparer.Ordinal);
    public IReadOnlyDictionary<string, string> Metadata { get; private set; } = new Dictionary<string, string>(StringComparer.Ordinal);

    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file is not safetensors, or its header breaks a rule; also for pickle files, which are never read.</exception>
    public static SafeTensorsReader Open(string path)
    {
        var info = new FileInfo(path);
        if (!info.Exists)
        {
            throw new FileNotFoundException($"{path} does not exist.", path);
        }
        PickleGuard.Refuse(path);
        if (info.Length < 8)
        {
            throw new InvalidDataException($"{path} has {info.Length} bytes; a safetensors file has at least 8.");
        }
        var file = MemoryMappedFile.CreateFromFile(path, FileMode.Open, null, 0, MemoryMappedFileAccess.Read);
        SafeTensorsReader? reader = null;
        try
        {
            reader = new SafeTensorsReader(path, file, file.CreateViewAccessor(0, info.Length, MemoryMappedFileAccess.Read));
            reader.ReadHeader(info.Length);
            return reader;
        }
        catch
        {
            reader?.Dispose();
            file.Dispose();
            throw;
        }
    }

    /// <summary>The tensor's bytes as stored.</summary>
    /// <exception cref="InvalidDataException">The file has no such tensor, or it is larger than a span can be.</exception>
    public ReadOnlySpan<byte> Bytes(string name)
    {
        var entry = Entry(name);
        ObjectDisposedException.ThrowIf(_start == null, this);
        return entry.SizeBytes <= int.MaxValue
            ? new ReadOnlySpan<byte>(_start + entry.Offset, (int)entry.SizeBytes)
            : throw new InvalidDataException($"{Path}: tensor {name} has {entry.SizeBytes} bytes, more than one tensor may have here.");
    }

    /// <summary>A float32, bfloat16 or float16 tensor as single precision.</summary>
    public float[] ReadSingles(string name)
    {
        var values = new float[Entry(name).Count];
        CopySingles(name, values);
        return values;
    }

    /// <exception cref="ArgumentException">The destination has another length than the tensor.</exception>
    /// <exception cref="InvalidDataException">The tensor is missing or holds no floating-point numbers.</exception>
    public void CopySingles(string name, Span<float> destination)
    {
        var entry = Entry(name);
        if (destination.Length != entry.Count)
        {
            throw new ArgumentException($"{Path}: tensor {name} has {entry.Count} values; the destination has {destination.Length}.", nameof(destination));
        }
        var bytes = Bytes(name);
        switch (entry.Type)
        {
            case SafeTensorType.F32:
                bytes.CopyTo(MemoryMarshal.AsBytes(destination));
                break;
            case SafeTensorType.BF16:
                var halves = MemoryMarshal.Cast<byte, ushort>(bytes);
                for (int i = 0; i < destination.Length; i++)
                {
                    destination[i] = BFloat16Bits.Widen(halves[i]);
                }
                break;
            case SafeTensorType.F16:
                System.Numerics.Tensors.TensorPrimitives.ConvertToSingle(MemoryMarshal.Cast<byte, Half>(bytes), destination);
                break;
            default:
                throw new InvalidDataException($"{Path}: tensor {name} is {entry.Type.Word()}; floating-point values are expected.");
        }
    }

    /// <summary>Checks that the file holds exactly the weights of a model of this shape.</summary>
    /// <exception cref="InvalidDataException">A weight is missing, of another shape, or unknown; the message names file and tensor.</exception>
    public void RequireWeightsOf(ModelConfig config)
    {
        var expected = new HashSet<string>(StringComparer.Ordinal);
        foreach (var (name, shape) in WeightNames.Expected(config))
        {
            expected.Add(name);
            if (!Entry(name).Shape.SequenceEqual(shape))
            {
                throw new InvalidDataException($"{Path}: tensor {name} is [{string.Join(", ", Entry(name).Shape)}] where config.json says [{string.Join(", ", shape)}].");
            }
        }
        foreach (string name in Entries.Keys)
        {
            // Some writers store a tied head all the same; it must not be taken for a mistake.
            if (!expected.Contains(name) && !(name == WeightNames.Head && config.TieWordEmbeddings))
            {
                throw new InvalidDataException($"{Path}: tensor {name} does not belong to a model of the shape in config.json.");
            }
        }
    }

    public void Dispose()
    {
        if (_start != null)
        {
            _start = null;
            _view.SafeMemoryMappedViewHandle.ReleasePointer();
            _view.Dispose();
            _file.Dispose();
        }
    }

    private void ReadHeader(long fileLength)
    {
        long length = BinaryPrimitives.ReadInt64LittleEndian(new ReadOnlySpan<byte>(_start, 8));
        if (length is < 2 or > SafeTensorsHeader.MaxLength || length > fileLength - 8)
        {
            throw new InvalidDataException($"{Path}: the header says that it is {length} bytes long; it must be from 2 to {SafeTensorsHeader.MaxLength} and lie in the file of {fileLength} bytes.");
        }
        var (entries, metadata) = SafeTensorsHeader.Parse(new ReadOnlySpan<byte>(_start + 8, (int)length), Path, 8 + length, fileLength);
        Entries = entries.ToDictionary(entry => entry.Name, StringComparer.Ordinal);
        Metadata = metadata;
    }

    private SafeTensorEntry Entry(string name) =>
        Entries.TryGetValue(name, out var entry) ? entry : throw new InvalidDataException($"{Path} holds no tensor {name}.");
}
