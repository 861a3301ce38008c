using System.Runtime.InteropServices;
using TrainServe.Core.IO;

namespace TrainServe.Training.Data;

/// <summary>Writes one file of tokens. It is whole only after <see cref="Complete"/>.</summary>
internal sealed class TokenShardWriter : IDisposable
{
    private readonly string _path;
    private readonly int _bytesPerToken;
    private readonly string _tokenizerSha256;
    private readonly FileStream _stream;
    private readonly List<long> _documentStarts = [];

    public TokenShardWriter(string path, int bytesPerToken, string tokenizerSha256)
    {
        (_path, _bytesPerToken, _tokenizerSha256) = (path, bytesPerToken, tokenizerSha256);
        _stream = new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.None, 1 << 20);
        _stream.Write(new byte[TokenShardHeader.SizeBytes]);
    }

    public long Tokens { get; private set; }
    public long Documents => _documentStarts.Count;

    /// <summary>The next token begins a document.</summary>
    public void BeginDocument() => _documentStarts.Add(Tokens);

    public void Write(ReadOnlySpan<int> tokens)
    {
        Tokens += tokens.Length;
        if (_bytesPerToken == sizeof(int))
        {
            _stream.Write(MemoryMarshal.AsBytes(tokens));
            return;
        }
        Span<ushort> narrow = stackalloc ushort[1024];
        while (!tokens.IsEmpty)
        {
            int count = Math.Min(tokens.Length, narrow.Length);
            for (int i = 0; i < count; i++)
            {
                narrow[i] = checked((ushort)tokens[i]);
            }
            _stream.Write(MemoryMarshal.AsBytes(narrow[..count]));
            tokens = tokens[count..];
        }
    }

    /// <summary>Writes documents and header, and forces all to the disk.</summary>
    public void Complete()
    {
        var header = new TokenShardHeader(_bytesPerToken, Tokens, Documents, _tokenizerSha256);
        _stream.Write(new byte[header.DocumentsOffset - _stream.Position]);
        _stream.Write(MemoryMarshal.AsBytes(CollectionsMarshal.AsSpan(_documentStarts)));
        Span<byte> first = stackalloc byte[TokenShardHeader.SizeBytes];
        header.Write(first);
        _stream.Position = 0;
        _stream.Write(first);
        _stream.Dispose();
        DurableFile.Sync(_path);
    }

    public void Dispose() => _stream.Dispose();
}
