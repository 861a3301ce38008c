using System.Text.Unicode;

namespace TrainServe.Core.Data;

/// <summary>The lines of a file, packed or not: bytes that are known to be UTF-8, without a byte order mark; each line keeps its own line end.</summary>
internal sealed class LineReader : IDisposable
{
    /// <summary>A longer line is a fault, not a reason to run out of memory.</summary>
    public const int MaxLineBytes = 100_000_000;

    private readonly string _path;
    private readonly int _maxLineBytes;
    private readonly Stream _stream;
    private byte[] _buffer = new byte[1 << 16];
    private int _start, _end;
    private bool _isEnd;

    public LineReader(string path, int maxLineBytes = MaxLineBytes)
    {
        (_path, _maxLineBytes) = (path, maxLineBytes);
        _stream = DataFiles.Open(path);
    }

    /// <summary>Number of the line that <see cref="TryRead"/> gave last, from 1.</summary>
    public long Line { get; private set; }

    /// <summary>The next line with its line end; valid until the next call.</summary>
    /// <param name="line">The bytes; empty when there is a fault.</param>
    /// <param name="fault">Why the line cannot be used, as the end of a sentence.</param>
    public bool TryRead(out ReadOnlyMemory<byte> line, out string? fault)
    {
        (line, fault) = (default, null);
        int scanned = 0;
        bool isTooLong = false;
        while (true)
        {
            int lineEnd = _buffer.AsSpan(_start + scanned, _end - _start - scanned).IndexOf((byte)'\n');
            int length = lineEnd >= 0 ? scanned + lineEnd + 1 : _end - _start;
            if (lineEnd >= 0 || (_isEnd && length > 0))
            {
                line = Take(length);
                isTooLong |= length > _maxLineBytes;
                break;
            }
            if (_isEnd)
            {
                if (!isTooLong)
                {
                    return false;
                }
                Line++;
                break;
            }
            scanned = length;
            if (length > _maxLineBytes)
            {
                // Throw the beginning away and look for the end.
                (isTooLong, _start, _end, scanned) = (true, 0, 0, 0);
            }
            Fill();
        }
        fault = isTooLong ? $"the line is longer than {_maxLineBytes:N0} bytes" : FaultOf(line.Span);
        line = fault is null ? line : default;
        return true;
    }

    public void Dispose() => _stream.Dispose();

    private static string? FaultOf(ReadOnlySpan<byte> line)
    {
        if (Utf8.IsValid(line))
        {
            return null;
        }
        int position = 0;
        while (System.Text.Rune.DecodeFromUtf8(line[position..], out _, out int length) == System.Buffers.OperationStatus.Done)
        {
            position += length;
        }
        return $"the line is not valid UTF-8 at its byte {position + 1}";
    }

    private ReadOnlyMemory<byte> Take(int length)
    {
        var line = _buffer.AsMemory(_start, length);
        _start += length;
        Line++;
        return Line == 1 && line.Span.StartsWith("\uFEFF"u8) ? line[3..] : line;
    }

    private void Fill()
    {
        if (_start > 0)
        {
            _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
            (_start, _end) = (0, _end - _start);
        }
        if (_end == _buffer.Length)
        {
            Array.Resize(ref _buffer, (int)Math.Min(2L * _buffer.Length, Array.MaxLength));
        }
        try
        {
            int read = _stream.Read(_buffer, _end, _buffer.Length - _end);
            _end += read;
            _isEnd = read == 0;
        }
        catch (InvalidDataException error)
        {
            throw new InvalidDataException($"{_path}: the packed data is damaged or cut off after line {Line}.", error);
        }
    }
}
