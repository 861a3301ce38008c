using System.IO.MemoryMappedFiles;

namespace TrainServe.Training.Data;

/// <summary>One file of tokens, mapped into memory. Safe for use from several threads until it is disposed.</summary>
public sealed unsafe class TokenShard : IDisposable
{
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;
    private byte* _start;

    private TokenShard(string path, MemoryMappedFile file, long sizeBytes)
    {
        (Path, _file) = (path, file);
        _view = file.CreateViewAccessor(0, sizeBytes, MemoryMappedFileAccess.Read);
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref _start);
        Header = TokenShardHeader.Read(new ReadOnlySpan<byte>(_start, (int)Math.Min(sizeBytes, TokenShardHeader.SizeBytes)), path, sizeBytes);
    }

    public string Path { get; }
    public TokenShardHeader Header { get; }

    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">It is no token file, or was cut short.</exception>
    public static TokenShard Open(string path)
    {
        var info = new FileInfo(path);
        if (!info.Exists)
        {
            throw new FileNotFoundException($"{path} does not exist.", path);
        }
        if (info.Length < TokenShardHeader.SizeBytes)
        {
            TokenShardHeader.Read([], path, info.Length);
        }
        var file = MemoryMappedFile.CreateFromFile(path, FileMode.Open, null, 0, MemoryMappedFileAccess.Read);
        try
        {
            return new TokenShard(path, file, info.Length);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Copies tokens that start at a position.</summary>
    public void CopyTo(long position, Span<int> destination)
    {
        ObjectDisposedException.ThrowIf(_start == null, this);
        ArgumentOutOfRangeException.ThrowIfNegative(position);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(position + destination.Length, Header.Tokens, nameof(destination));
        byte* source = _start + TokenShardHeader.SizeBytes + position * Header.BytesPerToken;
        if (Header.BytesPerToken == sizeof(int))
        {
            new ReadOnlySpan<int>(source, destination.Length).CopyTo(destination);
            return;
        }
        var narrow = new ReadOnlySpan<ushort>(source, destination.Length);
        for (int i = 0; i < destination.Length; i++)
        {
            destination[i] = narrow[i];
        }
    }

    /// <summary>Where a document of this file starts, counted in its tokens.</summary>
    public long DocumentStart(long index)
    {
        ObjectDisposedException.ThrowIf(_start == null, this);
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, Header.Documents);
        return ((long*)(_start + Header.DocumentsOffset))[index];
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
}
