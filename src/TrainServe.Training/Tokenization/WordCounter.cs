using System.Runtime.InteropServices;
using System.Text;
using TrainServe.Core.Data;
using TrainServe.Core.Tokenization;

namespace TrainServe.Training.Tokenization;

/// <summary>Counts the words of a corpus on several threads.</summary>
internal sealed class WordCounter
{
    // A book is counted in parts, so that no thread waits for another that has it.
    private const int PartChars = 1 << 18;

    // Longer "words" (lines of '=', unbroken runs of letters) teach nothing; they are counted in pieces, which keeps a merge of one cheap.
    private const int MaxWordChars = 256;
    private const int ReportEveryBytes = 1 << 22;

    private readonly Lock _lock = new();
    private readonly Dictionary<string, long> _counts = new(StringComparer.Ordinal);
    private long _bytes, _reported;

    /// <summary>How often each word occurs.</summary>
    public IReadOnlyDictionary<string, long> Counts => _counts;

    /// <summary>Size of the corpus in UTF-8.</summary>
    public long Bytes => _bytes;

    public void Count(IEnumerable<Document> documents, int threads, IProgress<BpeProgress>? progress, CancellationToken cancellationToken)
    {
        using var parts = documents.SelectMany(Parts).GetEnumerator();
        var workers = new Task[threads];
        for (int i = 0; i < threads; i++)
        {
            workers[i] = Task.Factory.StartNew(() => Work(parts, progress, cancellationToken), cancellationToken, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        }
        try
        {
            Task.WaitAll(workers, CancellationToken.None);
        }
        catch (AggregateException error)
        {
            // The first fault is the reader's or a cancellation; the other threads saw the end of it.
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(error.Flatten().InnerExceptions[0]);
        }
    }

    private void Work(IEnumerator<ReadOnlyMemory<char>> parts, IProgress<BpeProgress>? progress, CancellationToken cancellationToken)
    {
        var counts = new Dictionary<string, long>(StringComparer.Ordinal);
        var lookup = counts.GetAlternateLookup<ReadOnlySpan<char>>();
        while (TryNext(parts, out var part))
        {
            cancellationToken.ThrowIfCancellationRequested();
            var text = part.Span;
            for (int start = 0; start < text.Length;)
            {
                int end = PatternSplitter.SingleDigits.WordEnd(text, start);
                for (; start < end; start = PieceEnd(text, start, end))
                {
                    CollectionsMarshal.GetValueRefOrAddDefault(lookup, text[start..PieceEnd(text, start, end)], out _)++;
                }
            }
            Report(Encoding.UTF8.GetByteCount(text), progress);
        }
        lock (_lock)
        {
            foreach (var (word, count) in counts)
            {
                CollectionsMarshal.GetValueRefOrAddDefault(_counts, word, out _) += count;
            }
        }
    }

    private bool TryNext(IEnumerator<ReadOnlyMemory<char>> parts, out ReadOnlyMemory<char> part)
    {
        lock (_lock)
        {
            bool found = parts.MoveNext();
            part = found ? parts.Current : default;
            return found;
        }
    }

    private void Report(int bytes, IProgress<BpeProgress>? progress)
    {
        long total;
        lock (_lock)
        {
            total = _bytes += bytes;
            if (total - _reported < ReportEveryBytes)
            {
                return;
            }
            _reported = total;
        }
        progress?.Report(new BpeProgress(BpePhase.Counting, total, 0));
    }

    private static int PieceEnd(ReadOnlySpan<char> text, int start, int wordEnd)
    {
        if (wordEnd - start <= MaxWordChars)
        {
            return wordEnd;
        }
        int end = start + MaxWordChars;
        return char.IsLowSurrogate(text[end]) ? end - 1 : end;
    }

    // Between a line break and what is not white space there is always the end of a word, so that cutting there changes no word.
    private static IEnumerable<ReadOnlyMemory<char>> Parts(Document document)
    {
        string text = document.Text;
        int start = 0;
        while (text.Length - start > PartChars)
        {
            int end = start + PartChars;
            while (end < text.Length && !(text[end - 1] == '\n' && !char.IsWhiteSpace(text[end])))
            {
                end++;
            }
            yield return text.AsMemory(start, end - start);
            start = end;
        }
        if (start < text.Length)
        {
            yield return text.AsMemory(start);
        }
    }
}
