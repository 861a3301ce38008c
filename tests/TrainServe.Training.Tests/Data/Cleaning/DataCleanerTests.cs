using System.Globalization;
using System.Text.Json;
using CsCheck;
using TrainServe.Core.Data;
using TrainServe.TestSupport;
using TrainServe.Training.Data.Cleaning;

namespace TrainServe.Training.Tests.Data.Cleaning;

public sealed class DataCleanerTests : IDisposable
{
    private static readonly string[] Vocabulary = [.. Enumerable.Range(0, 200).Select(number => "word" + number.ToString(CultureInfo.InvariantCulture))];
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public void Of_equal_and_nearly_equal_texts_the_first_is_kept()
    {
        string story = Story(1, 100), nearly = story.Replace("word", "Word", StringComparison.Ordinal) + " once more", other = Story(2, 100);
        var report = Clean([story, other, "  " + story + "\n", nearly]);
        Assert.Equal([story, other], Kept());
        Assert.Equal((4, 2), (report.DocumentsRead, report.DocumentsKept));
        Assert.Equal(1, Removed(report, "exact-duplicate").Documents);
        Assert.Equal(1, Removed(report, "near-duplicate").Documents);
        Assert.Contains("in.jsonl:1", Removed(report, "near-duplicate").Examples[0].Because);
        Assert.Contains("in.jsonl:4", Removed(report, "near-duplicate").Examples[0].Origin);
    }

    [Fact]
    public void What_is_removed_resembles_a_kept_text_and_what_is_kept_resembles_none() => Corpora.Sample(texts =>
    {
        using var directory = new TemporaryDirectory();
        var report = Clean(texts, directory: directory);
        // Brute force over all pairs.
        var kept = Kept(directory).ConvertAll(text => WordShingles.Of(text));
        Assert.All(texts, text => Assert.Contains(kept, other => WordShingles.Jaccard(other, WordShingles.Of(text)) >= 0.8));
        int missed = kept.Select((first, index) => kept.Skip(index + 1).Count(second => WordShingles.Jaccard(first, second) >= 0.8)).Sum();
        // A pair exactly at 0.8 is missed once in 2,800 times; a corpus here has few of them.
        Assert.InRange(missed, 0, 1);
        Assert.Equal(texts.Count, report.DocumentsKept + report.Removed.Sum(count => count.Documents));
    }, iter: 40, threads: 1);

    [Fact]
    public void What_is_kept_does_not_depend_on_the_number_of_threads() => Corpora.Sample(texts =>
    {
        byte[] BytesWith(int threads)
        {
            using var directory = new TemporaryDirectory();
            Clean(texts, new CleaningOptions { Threads = threads, Rules = [] }, directory);
            return File.ReadAllBytes(directory.PathOf("out.jsonl"));
        }
        byte[] one = BytesWith(1);
        Assert.Equal(one, BytesWith(2));
        Assert.Equal(one, BytesWith(8));
    }, iter: 10, threads: 1);

    [Fact]
    public void The_report_says_which_rule_left_out_what_and_names_a_place()
    {
        string good = string.Concat(Enumerable.Range(0, 20).Select(i => string.Create(CultureInfo.InvariantCulture, $"The child of house {i} went with a friend to find number {i * 7}. ")));
        var report = Clean([good, "Too short."], new CleaningOptions { Rules = QualityRules.Choose(["gopher"], []) });
        var words = Removed(report, "words");
        Assert.Equal((1, 10), (words.Documents, words.Bytes));
        Assert.Equal("2", words.Examples[0].Because);
        Assert.Contains("50 to 100000", words.Rule);
        report.Write(_directory.PathOf("report.json"));
        using var json = JsonDocument.Parse(File.ReadAllBytes(_directory.PathOf("report.json")));
        Assert.Equal(2, json.RootElement.GetProperty("documents_read").GetInt64());
        Assert.Contains("words: 1 texts, 10 bytes", File.ReadAllText(_directory.PathOf("report.txt")));
    }

    [Fact]
    public void A_directory_gets_a_file_for_each_input_and_texts_come_back_as_they_were()
    {
        string story = Story(1, 80) + "\r\n\twith \u00E9 and \"quotes\"", other = Story(2, 80);
        _directory.WriteText("in/a.jsonl", JsonSerializer.Serialize(new { text = story }) + "\n");
        _directory.WriteText("in/b.txt", other + "\n<|endoftext|>\n" + Story(3, 80));
        new DataCleaner(new CleaningOptions { Rules = [] }).Clean([_directory.PathOf("in")], _directory.PathOf("out"));
        Assert.Equal(["a.jsonl.gz", "b.jsonl.gz"], Directory.GetFiles(_directory.PathOf("out")).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        Assert.Equal([story], DocumentReader.Read(_directory.PathOf("out/a.jsonl.gz"), BadRecords.Strict()).Select(document => document.Text));
        Assert.Equal(2, DocumentReader.Read(_directory.PathOf("out/b.jsonl.gz"), BadRecords.Strict()).Count());
    }

    [Fact]
    public void A_text_file_is_written_with_separators()
    {
        _directory.WriteText("in.jsonl", string.Concat(new[] { Story(1, 60), Story(2, 60) }.Select(text => JsonSerializer.Serialize(new { text }) + "\n")));
        new DataCleaner(new CleaningOptions { Rules = [] }).Clean([_directory.PathOf("in.jsonl")], _directory.PathOf("out.txt.gz"));
        Assert.Equal([Story(1, 60), Story(2, 60)], DocumentReader.Read(_directory.PathOf("out.txt.gz"), BadRecords.Strict()).Select(document => document.Text));
    }

    [Fact]
    public void Nothing_is_left_behind_when_nothing_remains_or_the_output_exists()
    {
        var nothing = Assert.Throws<InvalidDataException>(() => Clean(["Short.", "Shorter."], new CleaningOptions()));
        Assert.Contains("words left out 2", nothing.Message);
        Assert.Equal(["in.jsonl"], Directory.GetFileSystemEntries(_directory.FullName).Select(Path.GetFileName));
        _directory.WriteText("out.jsonl", "mine");
        Assert.Contains("exists already", Assert.Throws<IOException>(() => Clean([Story(1, 60)])).Message);
        Assert.Equal("mine", File.ReadAllText(_directory.PathOf("out.jsonl")));
    }

    [Fact]
    public void Many_texts_are_found_again_when_the_index_has_grown()
    {
        var texts = Enumerable.Range(0, 2500).Select(number => Story(number, 12)).ToList();
        var report = Clean([.. texts, .. texts.Select(text => text.ToUpperInvariant())]);
        Assert.Equal(2500, report.DocumentsKept);
        Assert.Equal(2500, Removed(report, "near-duplicate").Documents);
    }

    // Stories and their copies with a few words changed, so that many pairs lie around the threshold.
    private static Gen<List<string>> Corpora =>
        Gen.Select(Gen.Int[0, 5], Gen.Int[0, 4], Gen.Int[0, 1 << 20]).Array[5, 40].Select(items => items.Select(item =>
        {
            string[] words = Story(item.Item1, 100).Split(' ');
            for (int change = 0; change < item.Item2; change++)
            {
                words[(int)(WordShingles.Mixed((ulong)(item.Item3 + change)) % 100)] = "changed" + item.Item3.ToString(CultureInfo.InvariantCulture);
            }
            return string.Join(' ', words);
        }).ToList());

    private static string Story(int number, int words) =>
        string.Join(' ', Enumerable.Range(0, words).Select(i => Vocabulary[(int)(WordShingles.Mixed((ulong)(number * 1000L + i)) % (ulong)Vocabulary.Length)]));

    private static RemovalCount Removed(CleaningReport report, string reason) => report.Removed.Single(count => count.Reason == reason);

    private CleaningReport Clean(IReadOnlyList<string> texts, CleaningOptions? options = null, TemporaryDirectory? directory = null)
    {
        directory ??= _directory;
        directory.WriteText("in.jsonl", string.Concat(texts.Select(text => JsonSerializer.Serialize(new { text }) + "\n")));
        return new DataCleaner(options ?? new CleaningOptions { Rules = [] }).Clean([directory.PathOf("in.jsonl")], directory.PathOf("out.jsonl"));
    }

    private List<string> Kept(TemporaryDirectory? directory = null) =>
        [.. DocumentReader.Read((directory ?? _directory).PathOf("out.jsonl"), BadRecords.Strict()).Select(document => document.Text)];
}
