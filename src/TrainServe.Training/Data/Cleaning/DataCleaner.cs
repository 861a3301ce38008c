using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using TrainServe.Core.Data;

namespace TrainServe.Training.Data.Cleaning;

/// <summary>How far a cleaning is.</summary>
public sealed record CleaningProgress(long Documents, long Bytes, long Kept);

/// <summary>Leaves out texts that repeat others and texts that fail rules of quality. What remains is not changed and keeps its order.</summary>
/// <remarks>
/// Of texts that repeat each other the first is kept. Near-duplicates are compared with kept texts only, exactly, once MinHash has brought them together: what is removed is a near-duplicate
/// for certain, and what MinHash misses is stated by <see cref="MinHasher.Recall"/>. Texts are read in batches and examined in parallel; the decisions are then taken in the order of the
/// texts, so that the result does not depend on the number of threads. In memory: a batch, and about 400 bytes for each text that was kept.
/// </remarks>
public sealed class DataCleaner
{
    private const int BatchCharacters = 8 << 20, BatchDocuments = 4096;
    private readonly CleaningOptions _options;
    private readonly Action<CleaningProgress>? _progress;

    /// <param name="options">How.</param>
    /// <param name="progress">Is told after every batch.</param>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    public DataCleaner(CleaningOptions options, Action<CleaningProgress>? progress = null)
    {
        if (options.JaccardThreshold is not (> 0 and <= 1))
        {
            throw new ArgumentException($"The Jaccard threshold is {options.JaccardThreshold}; it must be above 0 and at most 1.", nameof(options));
        }
        if (options.Threads < 1)
        {
            throw new ArgumentException($"The number of threads is {options.Threads}; it must be at least 1.", nameof(options));
        }
        (_options, _progress) = (options, progress);
    }

    /// <summary>Cleans files into a new file or directory.</summary>
    /// <param name="paths">Files of text or records, and directories of them.</param>
    /// <param name="output">A name that ends in .jsonl or .txt, perhaps with .gz, makes one file; any other makes a directory with a file for each input.</param>
    /// <param name="cancellationToken">Stops between two batches; nothing is left behind.</param>
    /// <exception cref="InvalidDataException">A file cannot be read, or nothing remains.</exception>
    /// <exception cref="IOException">The output exists, or cannot be written.</exception>
    public CleaningReport Clean(IReadOnlyList<string> paths, string output, CancellationToken cancellationToken = default)
    {
        var files = DataFiles.Expand(paths);
        var bad = _options.SkipBadRecords ? BadRecords.Lenient() : BadRecords.Strict();
        using var target = new CleanedOutput(output);
        using var index = new NearDuplicateIndex(_options.JaccardThreshold, target.TemporaryPath);
        var pass = new Pass(_options, target, index);
        foreach (var batch in Batches(DocumentReader.Read(files, bad)))
        {
            cancellationToken.ThrowIfCancellationRequested();
            foreach (var examined in Examine(batch))
            {
                pass.Decide(examined);
            }
            _progress?.Invoke(new CleaningProgress(pass.DocumentsRead, pass.BytesRead, pass.DocumentsKept));
        }
        if (pass.DocumentsKept == 0)
        {
            throw new InvalidDataException($"Nothing remains of {pass.DocumentsRead} texts: {string.Join(", ", pass.Tally.Counts().Where(count => count.Documents > 0).Select(count => $"{count.Reason} left out {count.Documents}"))}.");
        }
        return new CleaningReport
        {
            Inputs = DataPacker.Describe(files),
            Outputs = target.Complete(),
            DocumentsRead = pass.DocumentsRead,
            BytesRead = pass.BytesRead,
            DocumentsKept = pass.DocumentsKept,
            BytesKept = pass.BytesKept,
            BadRecords = bad.Skipped,
            JaccardThreshold = _options.NearDuplicates ? _options.JaccardThreshold : null,
            ShingleWords = WordShingles.Words,
            MinHashBands = MinHasher.Bands,
            MinHashRows = MinHasher.Rows,
            RecallAtThreshold = _options.NearDuplicates ? MinHasher.Recall(_options.JaccardThreshold) : null,
            Removed = pass.Tally.Counts(),
        };
    }

    private static IEnumerable<List<Document>> Batches(IEnumerable<Document> documents)
    {
        var batch = new List<Document>();
        long characters = 0;
        foreach (var document in documents)
        {
            batch.Add(document);
            characters += document.Text.Length;
            if (characters >= BatchCharacters || batch.Count == BatchDocuments)
            {
                yield return batch;
                (batch, characters) = ([], 0);
            }
        }
        if (batch.Count > 0)
        {
            yield return batch;
        }
    }

    private Examined[] Examine(List<Document> batch)
    {
        var examined = new Examined[batch.Count];
        Parallel.For(0, batch.Count, new ParallelOptions { MaxDegreeOfParallelism = _options.Threads }, i => examined[i] = Examine(batch[i]));
        return examined;
    }

    private Examined Examine(Document document)
    {
        var utf8 = Encoding.UTF8.GetBytes(document.Text.Trim());
        var hash = BinaryPrimitives.ReadUInt128LittleEndian(SHA256.HashData(utf8));
        var profile = new TextProfile(document.Text);
        foreach (var rule in _options.Rules)
        {
            if (rule.FaultOf(profile) is { } value)
            {
                return new Examined(document, hash, utf8.Length, rule.Name, FormattableString.Invariant($"{value:0.###}"), [], []);
            }
        }
        var shingles = _options.NearDuplicates ? WordShingles.Of(document.Text) : [];
        return new Examined(document, hash, utf8.Length, null, "", shingles, shingles.Length == 0 ? [] : MinHasher.BandKeys(shingles));
    }

    private sealed record Examined(Document Document, UInt128 Hash, long Bytes, string? Fault, string Value, ulong[] Shingles, uint[] Keys);

    // Takes the decisions, one text after the other.
    private sealed class Pass(CleaningOptions options, CleanedOutput target, NearDuplicateIndex index)
    {
        private readonly Dictionary<UInt128, RecordOrigin> _seen = [];
        private readonly List<RecordOrigin> _kept = [];

        public CleaningTally Tally { get; } = new(options);
        public long DocumentsRead { get; private set; }
        public long BytesRead { get; private set; }
        public long DocumentsKept => _kept.Count;
        public long BytesKept { get; private set; }

        public void Decide(Examined text)
        {
            DocumentsRead++;
            BytesRead += text.Bytes;
            if (_seen.TryGetValue(text.Hash, out var first))
            {
                Tally.Add(CleaningTally.ExactDuplicate, text.Document, text.Bytes, $"the same as {first}");
                return;
            }
            if (text.Fault is { } rule)
            {
                Tally.Add(rule, text.Document, text.Bytes, text.Value);
                return;
            }
            _seen.Add(text.Hash, text.Document.Origin);
            if (text.Shingles.Length > 0 && index.Find(text.Shingles, text.Keys) is { } similar)
            {
                Tally.Add(CleaningTally.NearDuplicate, text.Document, text.Bytes, FormattableString.Invariant($"{similar.Jaccard:0.000} like {_kept[similar.Index]}"));
                return;
            }
            if (text.Shingles.Length > 0)
            {
                index.Add(text.Shingles, text.Keys);
            }
            else
            {
                index.AddEmpty();
            }
            _kept.Add(text.Document.Origin);
            BytesKept += text.Bytes;
            target.Write(text.Document);
        }
    }
}
