using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using TrainServe.Core.Data;
using TrainServe.Core.IO;
using TrainServe.Core.Packaging;
using TrainServe.Core.Tokenization;

namespace TrainServe.Training.Data;

/// <summary>How <see cref="DataPacker"/> packs.</summary>
public sealed record PackOptions
{
    public ValidationRule ValidationRule { get; init; } = ValidationRule.Auto;

    /// <summary>The part kept for validation, at least 0 and below 1.</summary>
    public double ValidationFraction { get; init; } = 0.05;

    /// <summary>Whether bad records are counted and left out, rather than stop the packing.</summary>
    public bool SkipBadRecords { get; init; }

    /// <summary>A file of tokens ends with the document that passes this.</summary>
    public long TokensPerShard { get; init; } = 1 << 27;
}

/// <summary>Texts to files of tokens: each document is the token that begins a text, its text's tokens and, where it is another one, the token that ends a text.</summary>
/// <remarks>Same files, tokenizer and options give the same bytes.</remarks>
public sealed class DataPacker
{
    private const int AutoDocuments = 100;
    private const string SpoolFile = "spool.tokens";
    private readonly TextTokenizer _tokenizer;
    private readonly PackOptions _options;
    private readonly Action<long>? _progress;

    /// <param name="tokenizer">Encodes.</param>
    /// <param name="options">How.</param>
    /// <param name="progress">Is told the number of tokens so far, now and then.</param>
    /// <exception cref="ArgumentException">The fraction is out of range.</exception>
    public DataPacker(TextTokenizer tokenizer, PackOptions options, Action<long>? progress = null)
    {
        if (options.ValidationFraction is not (>= 0 and < 1))
        {
            throw new ArgumentException($"The validation fraction is {options.ValidationFraction}; it must be at least 0 and below 1.", nameof(options));
        }
        (_tokenizer, _options, _progress) = (tokenizer, options, progress);
    }

    /// <summary>Packs files into a new directory.</summary>
    /// <param name="paths">Files of text or records, and directories of them.</param>
    /// <param name="tokenizerDirectory">Where the tokenizer's files are; they are copied, so that the packed data says how to read it.</param>
    /// <param name="output">A directory that is empty or does not exist. The data is made in <c>OUTPUT.tmp</c> beside it.</param>
    /// <param name="cancellationToken">Stops between two documents; nothing is left behind.</param>
    /// <exception cref="InvalidDataException">The text cannot be used, or is too little for the validation rule.</exception>
    /// <exception cref="IOException">The directory holds something, or cannot be written.</exception>
    public PackedDataManifest Pack(IReadOnlyList<string> paths, string tokenizerDirectory, string output, CancellationToken cancellationToken = default) =>
        Pack([.. paths.Select(path => new PackSource(path))], tokenizerDirectory, output, cancellationToken);

    /// <inheritdoc cref="Pack(IReadOnlyList{string}, string, string, CancellationToken)"/>
    /// <param name="sources">Files and directories with their weights.</param>
    /// <exception cref="ArgumentException">A weight is out of range, a file has two, or the validation rule is the tail, which knows no weights.</exception>
    public PackedDataManifest Pack(IReadOnlyList<PackSource> sources, string tokenizerDirectory, string output, CancellationToken cancellationToken = default)
    {
        RequireFree(output);
        string staging = Path.TrimEndingDirectorySeparator(Path.GetFullPath(output)) + ".tmp";
        RequireOurs(staging);
        var files = Weighted(sources);
        RemoveDirectory(staging);
        Directory.CreateDirectory(staging);
        try
        {
            var manifest = PackInto(staging, files, cancellationToken);
            foreach (string file in (ReadOnlySpan<string>)[ModelPackage.TokenizerFile, TokenizerConfig.FileName])
            {
                if (File.Exists(Path.Combine(tokenizerDirectory, file)))
                {
                    File.Copy(Path.Combine(tokenizerDirectory, file), Path.Combine(staging, file));
                    DurableFile.Sync(Path.Combine(staging, file));
                }
            }
            manifest.Write(staging);
            if (Directory.Exists(output))
            {
                Directory.Delete(output);
            }
            DurableFile.MoveDirectory(staging, Path.GetFullPath(output));
            return manifest;
        }
        catch
        {
            RemoveDirectory(staging);
            throw;
        }
    }

    private static void RequireFree(string output)
    {
        if (File.Exists(output))
        {
            throw new IOException($"{output} is a file; a directory is needed.");
        }
        if (Directory.Exists(output) && Directory.EnumerateFileSystemEntries(output).Any())
        {
            throw new IOException($"{output} already holds {(PackedDataSet.IsOne(output) ? "packed data" : "other files")}; choose another output directory or remove it.");
        }
    }

    // What a packing that was killed left behind may be removed: it has files of tokens, and nothing else than this packs.
    private static void RequireOurs(string staging)
    {
        bool isOurs = !File.Exists(staging) && (!Directory.Exists(staging) || !Directory.EnumerateFileSystemEntries(staging).Any()
            || (Directory.EnumerateFiles(staging, "*.tokens").Any() && Directory.EnumerateFileSystemEntries(staging).All(IsPacked)));
        if (!isOurs)
        {
            throw new IOException($"{staging} is in the way: the data is made there first, and it holds other files; move it, or choose another output directory.");
        }
    }

    private static bool IsPacked(string path) => File.Exists(path) && (path.EndsWith(".tokens", StringComparison.Ordinal)
        || Path.GetFileName(path) is ModelPackage.TokenizerFile or TokenizerConfig.FileName or PackedDataManifest.FileName or PackedDataManifest.FileName + ".tmp");

    /// <summary>What identifies the files: names, sizes and hashes.</summary>
    public static IReadOnlyList<PackedFile> Describe(IReadOnlyList<string> files) =>
        [.. files.Select(file => new PackedFile(Path.GetFileName(file), new FileInfo(file).Length, FileHash.OfFile(file)))];

    private List<PackSource> Weighted(IReadOnlyList<PackSource> sources)
    {
        var files = sources.SelectMany(source => DataFiles.Expand([source.Path]).Select(file => PackSource.Checked(source) with { Path = file })).ToList();
        if (files.GroupBy(file => file.Path, StringComparer.Ordinal).FirstOrDefault(group => group.Select(file => file.Weight).Distinct().Count() > 1) is { } twice)
        {
            throw new ArgumentException($"{twice.Key} is given with the weights {string.Join(" and ", twice.Select(file => file.Weight))}; give it once.", nameof(sources));
        }
        return _options.ValidationRule == ValidationRule.Tail && files.Exists(file => file.Weight != 1)
            ? throw new ArgumentException("Weights go with the validation rule documents; the rule tail takes the end of the text as it is.", nameof(sources))
            : files;
    }

    private PackedDataManifest PackInto(string directory, List<PackSource> files, CancellationToken cancellationToken)
    {
        var bad = _options.SkipBadRecords ? BadRecords.Lenient() : BadRecords.Strict();
        string spool = Path.Combine(directory, SpoolFile);
        var documents = Encode(files, bad, spool, cancellationToken);
        var rule = _options.ValidationRule == ValidationRule.Auto
            ? documents.Count >= AutoDocuments || files.Exists(file => file.Weight != 1) ? ValidationRule.Documents : ValidationRule.Tail
            : _options.ValidationRule;
        using var tokens = TokenShard.Open(spool);
        var (train, validation) = rule == ValidationRule.Tail ? SplitTail(directory, tokens, documents) : SplitDocuments(directory, tokens, documents);
        tokens.Dispose();
        File.Delete(spool);
        return new PackedDataManifest
        {
            TokenizerSha256 = _tokenizer.Sha256,
            VocabSize = _tokenizer.VocabSize,
            ValidationRule = rule,
            ValidationFraction = _options.ValidationFraction,
            Files = [.. files.Zip(Describe(files.ConvertAll(file => file.Path)), (source, file) => source.Weight == 1 ? file : file with { Weight = source.Weight })],
            SkippedRecords = bad.Skipped,
            Train = train,
            Validation = validation,
        };
    }

    private List<PackedDocument> Encode(List<PackSource> files, BadRecords bad, string spool, CancellationToken cancellationToken)
    {
        var weights = files.DistinctBy(file => file.Path, StringComparer.Ordinal).ToDictionary(file => file.Path, file => file.Weight, StringComparer.Ordinal);
        var documents = new List<PackedDocument>();
        int bos = _tokenizer.Special.BosId;
        int? eos = _tokenizer.Special.HasEos && _tokenizer.Special.EosId != bos ? _tokenizer.Special.EosId : null;
        using var writer = new TokenShardWriter(spool, TokenShardHeader.BytesPerTokenFor(_tokenizer.VocabSize), _tokenizer.Sha256);
        long reported = 0;
        // No buffering: documents are read as they are encoded, not all at once.
        var encoded = Partitioner.Create(DocumentReader.Read(files.Select(file => file.Path), bad), EnumerablePartitionerOptions.NoBuffering).AsParallel().AsOrdered()
            .WithMergeOptions(ParallelMergeOptions.NotBuffered).Select(document =>
            {
                var utf8 = Encoding.UTF8.GetBytes(document.Text);
                return (Ids: _tokenizer.Encode(document.Text), Hash: BinaryPrimitives.ReadUInt64LittleEndian(SHA256.HashData(utf8)), Bytes: utf8.Length, Weight: weights[document.Origin.Path]);
            });
        try
        {
            foreach (var (ids, hash, bytes, weight) in encoded)
            {
                cancellationToken.ThrowIfCancellationRequested();
                documents.Add(new PackedDocument(writer.Tokens, hash, bytes, weight));
                writer.BeginDocument();
                writer.Write([bos]);
                writer.Write(ids);
                if (eos is { } end)
                {
                    writer.Write([end]);
                }
                if (writer.Tokens - reported > 1_000_000)
                {
                    _progress?.Invoke(reported = writer.Tokens);
                }
            }
        }
        catch (AggregateException error) when (error.InnerExceptions.Count > 0)
        {
            // PLINQ wraps what the reader or the tokenizer threw.
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(error.InnerExceptions[0]);
        }
        writer.Complete();
        return documents;
    }

    private (DataSplit Train, DataSplit Validation) SplitDocuments(string directory, TokenShard tokens, List<PackedDocument> documents)
    {
        // The top 53 bits of the hash as a number in [0, 1).
        var isValidation = documents.ConvertAll(document => (document.Hash >> 11) * (1.0 / (1L << 53)) < _options.ValidationFraction);
        if (_options.ValidationFraction > 0 && (!isValidation.Contains(true) || !isValidation.Contains(false)))
        {
            if (documents.Select(document => document.Hash).Distinct().Count() < 2)
            {
                throw new InvalidDataException("The text is one document, so that whole documents cannot be kept for validation; divide it by its tail (validation rule tail) or into documents by lines of <|endoftext|>.");
            }
            // Few documents: the one whose hash is lowest, so that both sides have something.
            ulong lowest = documents.Min(document => document.Hash);
            isValidation = documents.ConvertAll(document => document.Hash == lowest);
        }
        using var train = new SplitWriter(directory, "train", _tokenizer, _options.TokensPerShard);
        using var validation = new SplitWriter(directory, "validation", _tokenizer, _options.TokensPerShard);
        for (int i = 0; i < documents.Count; i++)
        {
            long end = i + 1 < documents.Count ? documents[i + 1].Start : tokens.Header.Tokens;
            // What is measured is measured once, whatever its weight.
            for (int copy = isValidation[i] ? 1 : documents[i].Copies; copy > 0; copy--)
            {
                (isValidation[i] ? validation : train).WriteDocument(tokens, documents[i].Start, end, documents[i].TextBytes);
            }
        }
        return (train.Complete(), validation.Complete());
    }

    private (DataSplit Train, DataSplit Validation) SplitTail(string directory, TokenShard tokens, List<PackedDocument> documents)
    {
        long boundary = (long)(tokens.Header.Tokens * (1 - _options.ValidationFraction));
        using var train = new SplitWriter(directory, "train", _tokenizer, _options.TokensPerShard);
        using var validation = new SplitWriter(directory, "validation", _tokenizer, _options.TokensPerShard);
        for (int i = 0; i < documents.Count; i++)
        {
            var (start, _, bytes, _) = documents[i];
            long end = i + 1 < documents.Count ? documents[i + 1].Start : tokens.Header.Tokens;
            if (end <= boundary)
            {
                train.WriteDocument(tokens, start, end, bytes);
            }
            else if (start >= boundary)
            {
                validation.WriteDocument(tokens, start, end, bytes);
            }
            else
            {
                train.WriteDocument(tokens, start, boundary, TextBytes(tokens, start, boundary));
                validation.WriteContinuation(tokens, boundary, end, TextBytes(tokens, boundary, end));
            }
        }
        return (train.Complete(), validation.Complete());
    }

    private long TextBytes(TokenShard tokens, long start, long end)
    {
        var buffer = new int[1 << 16];
        long bytes = 0;
        for (long at = start; at < end;)
        {
            var part = buffer.AsSpan(0, (int)Math.Min(buffer.Length, end - at));
            tokens.CopyTo(at, part);
            foreach (int id in part)
            {
                bytes += _tokenizer.TokenBytes(id).Length;
            }
            at += part.Length;
        }
        return bytes;
    }

    private static void RemoveDirectory(string path)
    {
        if (Directory.Exists(path))
        {
            Directory.Delete(path, recursive: true);
        }
    }

    private readonly record struct PackedDocument(long Start, ulong Hash, long TextBytes, double Weight)
    {
        // A weight of 1.5 takes every text once and half of them twice: which half is decided by the text, with other bits of its hash than the division into training and validation uses.
        public int Copies => (int)Weight + ((Hash & 0x7FF) < (Weight - Math.Truncate(Weight)) * 0x800 ? 1 : 0);
    }

    /// <summary>Writes one side's shards.</summary>
    private sealed class SplitWriter(string directory, string name, TextTokenizer tokenizer, long tokensPerShard) : IDisposable
    {
        private readonly List<ShardEntry> _entries = [];
        private readonly int[] _buffer = new int[1 << 16];
        private TokenShardWriter? _shard;
        private long _textBytes;

        private string CurrentName => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{name}-{_entries.Count:D5}.tokens");

        public void WriteDocument(TokenShard source, long start, long end, long textBytes)
        {
            Current().BeginDocument();
            Copy(source, start, end, textBytes);
        }

        /// <summary>The rest of a document whose beginning is on the other side.</summary>
        public void WriteContinuation(TokenShard source, long start, long end, long textBytes)
        {
            Current();
            Copy(source, start, end, textBytes);
        }

        public DataSplit Complete()
        {
            CloseShard();
            return new DataSplit(_entries.Sum(entry => entry.Tokens), _entries.Sum(entry => entry.Documents), _textBytes, _entries);
        }

        public void Dispose() => _shard?.Dispose();

        private TokenShardWriter Current() => _shard ??= new TokenShardWriter(Path.Combine(directory, CurrentName), TokenShardHeader.BytesPerTokenFor(tokenizer.VocabSize), tokenizer.Sha256);

        private void Copy(TokenShard source, long start, long end, long textBytes)
        {
            while (start < end)
            {
                var part = _buffer.AsSpan(0, (int)Math.Min(_buffer.Length, end - start));
                source.CopyTo(start, part);
                _shard!.Write(part);
                start += part.Length;
            }
            _textBytes += textBytes;
            if (_shard!.Tokens >= tokensPerShard)
            {
                CloseShard();
            }
        }

        private void CloseShard()
        {
            if (_shard is null)
            {
                return;
            }
            string path = Path.Combine(directory, CurrentName);
            _shard.Complete();
            _entries.Add(new ShardEntry(CurrentName, _shard.Tokens, _shard.Documents, new FileInfo(path).Length, FileHash.OfFile(path)));
            _shard = null;
        }
    }
}
