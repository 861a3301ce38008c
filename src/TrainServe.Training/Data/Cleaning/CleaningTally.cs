using TrainServe.Core.Data;

namespace TrainServe.Training.Data.Cleaning;

/// <summary>Counts what is left out, by reason.</summary>
internal sealed class CleaningTally
{
    public const string ExactDuplicate = "exact-duplicate", NearDuplicate = "near-duplicate";
    private const int Remembered = 5, Characters = 100;
    private readonly List<Entry> _entries = [];

    public CleaningTally(CleaningOptions options)
    {
        _entries.Add(new Entry(ExactDuplicate, "the same text, but for white space at its ends, occurred before"));
        _entries.AddRange(options.Rules.Select(rule => new Entry(rule.Name, $"{rule.Measure} must be {rule.Range}; {rule.Family}")));
        if (options.NearDuplicates)
        {
            _entries.Add(new Entry(NearDuplicate, FormattableString.Invariant($"Jaccard similarity of the runs of {WordShingles.Words} words with a text kept before is at least {options.JaccardThreshold}")));
        }
    }

    public void Add(string reason, Document document, long bytes, string because)
    {
        var entry = _entries.First(entry => entry.Reason == reason);
        entry.Documents++;
        entry.Bytes += bytes;
        if (entry.Examples.Count < Remembered)
        {
            string begins = document.Text.Length > Characters ? document.Text[..Characters] + "..." : document.Text;
            entry.Examples.Add(new RemovedExample(document.Origin.ToString(), because, string.Join(' ', begins.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries))));
        }
    }

    public IReadOnlyList<RemovalCount> Counts() => [.. _entries.Select(entry => new RemovalCount(entry.Reason, entry.Rule, entry.Documents, entry.Bytes, entry.Examples))];

    private sealed class Entry(string reason, string rule)
    {
        public string Reason => reason;
        public string Rule => rule;
        public long Documents { get; set; }
        public long Bytes { get; set; }
        public List<RemovedExample> Examples { get; } = [];
    }
}
