using System.IO.Compression;
using System.Text;
using TrainServe.Core.Tokenization;
using TrainServe.TestSupport;
using TrainServe.Training.Data;

namespace TrainServe.Training.Tests.Data;

public sealed class DataPackerTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();
    private readonly TextTokenizer _tokenizer;

    public DataPackerTests() => _tokenizer = ByteTokenizer.Write(_directory.PathOf("tokenizer"));

    public void Dispose() => _directory.Dispose();

    [Fact]
    public void Documents_become_their_bytes_after_the_token_that_begins_a_text()
    {
        _directory.WriteText("in/a.txt", "ab\n<|endoftext|>\ncde\n<|endoftext|>\n");
        using var data = Pack(new PackOptions { ValidationFraction = 0 });
        Assert.Equal([256, 'a', 'b', 256, 'c', 'd', 'e'], Tokens(data.Train));
        Assert.Equal(0, data.Validation.Count);
        Assert.Equal((7, 2, 5), (data.Manifest.Train.Tokens, data.Manifest.Train.Documents, data.Manifest.Train.TextBytes));
    }

    [Fact]
    public void Text_packed_text_and_records_give_the_same_tokens()
    {
        string[] documents = [.. Enumerable.Range(0, 30).Select(i => $"Story {i} of the döcuments.")];
        _directory.WriteText("in/a.txt", string.Join("\n<|endoftext|>\n", documents) + "\n<|endoftext|>\n");
        using var text = Pack(new PackOptions { ValidationFraction = 0 });
        Directory.Delete(_directory.PathOf("in"), recursive: true);
        Directory.Delete(_directory.PathOf("out"), recursive: true);
        _directory.WriteText("in/x", "");
        using (var gzip = new GZipStream(File.Create(_directory.PathOf("in", "a.jsonl.gz")), CompressionMode.Compress))
        {
            gzip.Write(Encoding.UTF8.GetBytes(string.Join('\n', documents.Select(document => $"{{\"text\": \"{document}\"}}"))));
        }
        using var records = Pack(new PackOptions { ValidationFraction = 0 });
        Assert.Equal(Tokens(text.Train), Tokens(records.Train));
    }

    [Fact]
    public void The_tail_rule_keeps_the_last_part_of_the_stream()
    {
        _directory.WriteText("in/a.txt", "0123456789abcdefghi");
        using var data = Pack(new PackOptions { ValidationRule = ValidationRule.Tail, ValidationFraction = 0.25 });
        Assert.Equal([256, .. "0123456789abcd".Select(letter => (int)letter)], Tokens(data.Train));
        Assert.Equal("efghi".Select(letter => (int)letter), Tokens(data.Validation));
        Assert.Equal((14, 5), (data.Manifest.Train.TextBytes, data.Manifest.Validation.TextBytes));
        Assert.Equal((1, 0), (data.Manifest.Train.Documents, data.Manifest.Validation.Documents));
    }

    [Fact]
    public void Whole_documents_go_to_validation_whatever_their_order_and_the_same_text_never_to_both_sides()
    {
        string[] documents = [.. Enumerable.Range(0, 400).Select(i => $"document number {i % 300}")];
        _directory.WriteText("in/a.txt", string.Join("\n<|endoftext|>\n", documents) + "\n<|endoftext|>\n");
        using var data = Pack(new PackOptions { ValidationRule = ValidationRule.Documents, ValidationFraction = 0.2 });
        var validation = Documents(data.Validation).ToHashSet();
        Assert.Empty(validation.Intersect(Documents(data.Train)));
        // 400 documents, a fifth of them; 4 standard deviations of the 300 different ones are 28.
        Assert.InRange(data.Manifest.Validation.Documents, 45, 115);
        Assert.Equal(400, data.Manifest.Train.Documents + data.Manifest.Validation.Documents);

        _directory.WriteText("in/a.txt", string.Join("\n<|endoftext|>\n", documents.Reverse()) + "\n<|endoftext|>\n");
        Directory.Delete(_directory.PathOf("out"), recursive: true);
        using var reversed = Pack(new PackOptions { ValidationRule = ValidationRule.Documents, ValidationFraction = 0.2 });
        Assert.Equal(validation, Documents(reversed.Validation).ToHashSet());
    }

    [Fact]
    public void Auto_divides_many_documents_by_document_and_few_by_the_tail()
    {
        _directory.WriteText("in/a.txt", string.Join("\n<|endoftext|>\n", Enumerable.Range(0, 120)) + "\n<|endoftext|>\n");
        using (var many = Pack(new PackOptions()))
        {
            Assert.Equal(ValidationRule.Documents, many.Manifest.ValidationRule);
        }
        Directory.Delete(_directory.PathOf("out"), recursive: true);
        _directory.WriteText("in/a.txt", "one long text without any marker");
        using var few = Pack(new PackOptions());
        Assert.Equal(ValidationRule.Tail, few.Manifest.ValidationRule);
        Assert.True(few.Validation.Count > 0);
    }

    [Fact]
    public void Few_documents_still_leave_one_for_validation()
    {
        _directory.WriteText("in/a.txt", "first\n<|endoftext|>\nsecond\n<|endoftext|>\nthird\n<|endoftext|>\n");
        using var data = Pack(new PackOptions { ValidationRule = ValidationRule.Documents, ValidationFraction = 1e-6 });
        Assert.Equal((2, 1), (data.Manifest.Train.Documents, data.Manifest.Validation.Documents));
    }

    [Fact]
    public void One_document_cannot_be_divided_by_documents()
    {
        _directory.WriteText("in/a.txt", "alone");
        var error = Assert.Throws<InvalidDataException>(() => Pack(new PackOptions { ValidationRule = ValidationRule.Documents }));
        Assert.Contains("validation rule tail", error.Message, StringComparison.Ordinal);
        Assert.False(Directory.Exists(_directory.PathOf("out")));
        Assert.False(Directory.Exists(_directory.PathOf("out.tmp")));
    }

    [Fact]
    public void Shards_end_with_a_document_and_read_as_one_stream()
    {
        _directory.WriteText("in/a.txt", string.Join("\n<|endoftext|>\n", Enumerable.Range(1000, 50)) + "\n<|endoftext|>\n");
        using var whole = Pack(new PackOptions { ValidationFraction = 0 });
        var expected = Tokens(whole.Train);
        whole.Dispose();
        Directory.Delete(_directory.PathOf("out"), recursive: true);
        using var parts = Pack(new PackOptions { ValidationFraction = 0, TokensPerShard = 12 });
        Assert.Equal(17, parts.Manifest.Train.Shards.Count);
        Assert.All(parts.Manifest.Train.Shards.SkipLast(1), shard => Assert.Equal(15, shard.Tokens));
        Assert.Equal(expected, Tokens(parts.Train));
        var window = new int[20];
        parts.Train.CopyTo(10, window);
        Assert.Equal(expected[10..30], window);
    }

    [Fact]
    public void A_large_vocabulary_takes_four_bytes_a_token()
    {
        string path = _directory.PathOf("wide.tokens");
        using (var writer = new TokenShardWriter(path, TokenShardHeader.BytesPerTokenFor(70_000), _tokenizer.Sha256))
        {
            writer.BeginDocument();
            writer.Write([69_999, 0, 65_536]);
            writer.Complete();
        }
        using var shard = TokenShard.Open(path);
        var tokens = new int[3];
        shard.CopyTo(0, tokens);
        Assert.Equal([69_999, 0, 65_536], tokens);
        Assert.Equal(0, shard.DocumentStart(0));
    }

    [Fact]
    public void The_same_input_gives_the_same_bytes()
    {
        _directory.WriteText("in/a.txt", string.Join("\n<|endoftext|>\n", Enumerable.Range(0, 500)) + "\n<|endoftext|>\n");
        using var first = Pack(new PackOptions());
        Directory.Move(_directory.PathOf("out"), _directory.PathOf("first"));
        using var second = Pack(new PackOptions());
        foreach (string file in Directory.GetFiles(_directory.PathOf("first")))
        {
            Assert.Equal(File.ReadAllBytes(file), File.ReadAllBytes(_directory.PathOf("out", Path.GetFileName(file))));
        }
    }

    [Fact]
    public void A_directory_that_holds_packed_data_is_not_overwritten()
    {
        _directory.WriteText("in/a.txt", "some text");
        using var data = Pack(new PackOptions());
        Assert.Contains("already holds packed data", Assert.Throws<IOException>(() => Pack(new PackOptions())).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_directory_with_other_files_is_refused_before_anything_is_read()
    {
        string mine = _directory.WriteText("out/notes.txt", "mine");
        var error = Assert.Throws<IOException>(() => new DataPacker(_tokenizer, new PackOptions()).Pack(["/nowhere.txt"], _directory.PathOf("tokenizer"), _directory.PathOf("out")));
        Assert.Contains("already holds other files", error.Message, StringComparison.Ordinal);
        Assert.True(File.Exists(mine));
    }

    [Fact]
    public void A_folder_that_has_the_name_of_the_unfinished_data_is_removed_only_if_a_packing_left_it()
    {
        _directory.WriteText("in/a.txt", "some text");
        string mine = _directory.WriteText("out.tmp/notes.txt", "mine");
        _directory.WriteText("out.tmp/spool.tokens", "");
        Assert.Contains("out.tmp is in the way", Assert.Throws<IOException>(() => Pack(new PackOptions())).Message, StringComparison.Ordinal);
        Assert.Equal("mine", File.ReadAllText(mine));
        File.Delete(mine);
        using var data = Pack(new PackOptions());
        Assert.True(data.Train.Count > 0);
        Assert.False(Directory.Exists(_directory.PathOf("out.tmp")));
    }

    [Theory]
    [InlineData(100, "was cut short")]
    [InlineData(63, "a token file has a header of 64: it was cut short")]
    [InlineData(0, "a token file has a header of 64: it was cut short")]
    public void A_shard_that_was_cut_short_is_named(int length, string message)
    {
        string shard = PackShard();
        using (var stream = new FileStream(shard, FileMode.Open))
        {
            stream.SetLength(length);
        }
        AssertRefused(shard, message);
    }

    [Theory]
    [InlineData(0, "is not a token file")]
    [InlineData(8, "of version")]
    [InlineData(12, "damaged header")]
    [InlineData(16, "its header says")]
    [InlineData(23, "damaged header")]
    [InlineData(32, "was made with another tokenizer")]
    [InlineData(70, "was changed")]
    public void A_changed_byte_of_a_shard_is_found_and_the_shard_named(int position, string message)
    {
        string shard = PackShard();
        var bytes = File.ReadAllBytes(shard);
        bytes[position] ^= 0x11;
        File.WriteAllBytes(shard, bytes);
        AssertRefused(shard, message);
    }

    [Fact]
    public void Another_tokenizer_is_refused_with_both_hashes()
    {
        PackShard();
        var other = ByteTokenizer.Write(_directory.PathOf("other"), [SpecialTokens.EndOfText, SpecialTokens.Pad]);
        var error = Assert.Throws<InvalidDataException>(() => PackedDataSet.Open(_directory.PathOf("out"), other.Sha256));
        Assert.Contains(other.Sha256, error.Message, StringComparison.Ordinal);
        Assert.Contains(_tokenizer.Sha256, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_missing_shard_is_named()
    {
        string shard = PackShard();
        File.Delete(shard);
        Assert.Equal($"{shard} does not exist.", Assert.Throws<FileNotFoundException>(() => PackedDataSet.Open(_directory.PathOf("out"), _tokenizer.Sha256)).Message);
    }

    private string PackShard()
    {
        _directory.WriteText("in/a.txt", "some text that fills more than a hundred bytes of a shard, so that it can be cut short in the middle of its tokens");
        Pack(new PackOptions()).Dispose();
        return _directory.PathOf("out", "train-00000.tokens");
    }

    private void AssertRefused(string shard, string message)
    {
        var error = Assert.Throws<InvalidDataException>(() => PackedDataSet.Open(_directory.PathOf("out"), _tokenizer.Sha256));
        Assert.StartsWith(shard, error.Message, StringComparison.Ordinal);
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_weight_says_how_often_texts_are_trained_on_and_validation_takes_them_once()
    {
        string Texts(string name) => string.Concat(Enumerable.Range(0, 400).Select(i => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{name} {i}\n<|endoftext|>\n")));
        _directory.WriteText("in/a.txt", Texts("a"));
        _directory.WriteText("in/b.txt", Texts("b"));
        _directory.WriteText("in/c.txt", Texts("c"));
        var manifest = new DataPacker(_tokenizer, new PackOptions { ValidationFraction = 0.25 }).Pack(
            [new PackSource(_directory.PathOf("in/a.txt"), 2), new PackSource(_directory.PathOf("in/b.txt"), 0.5), new PackSource(_directory.PathOf("in/c.txt"))], _directory.PathOf("tokenizer"), _directory.PathOf("out"));
        using var data = PackedDataSet.Open(_directory.PathOf("out"), _tokenizer.Sha256);
        var train = Documents(data.Train).CountBy(text => text).ToDictionary();
        var validation = Documents(data.Validation).CountBy(text => text).ToDictionary();
        Assert.All(train, text => Assert.Equal(text.Key.StartsWith('a') ? 2 : 1, text.Value));
        Assert.All(validation, text => Assert.Equal(1, text.Value));
        Assert.Empty(train.Keys.Intersect(validation.Keys));
        Assert.Equal(800, train.Keys.Concat(validation.Keys).Count(text => !text.StartsWith('b')));
        // Half of about 300; five standard deviations of a coin thrown so often are 43.
        Assert.InRange(train.Keys.Count(text => text.StartsWith('b')), 107, 193);
        Assert.Equal([2, 0.5, null], manifest.Files.Select(file => file.Weight));
    }

    [Fact]
    public void Weights_that_cannot_be_kept_are_refused()
    {
        string path = _directory.WriteText("in/a.txt", "text\n<|endoftext|>\nanother\n");
        void Pack(PackOptions options, params PackSource[] sources) => new DataPacker(_tokenizer, options).Pack(sources, _directory.PathOf("tokenizer"), _directory.PathOf("out"));
        Assert.Contains("rule tail", Assert.Throws<ArgumentException>(() => Pack(new PackOptions { ValidationRule = ValidationRule.Tail }, new PackSource(path, 2))).Message);
        Assert.Contains("above 0", Assert.Throws<ArgumentException>(() => Pack(new PackOptions(), new PackSource(path, 0))).Message);
        Assert.Contains("the weights 1 and 2", Assert.Throws<ArgumentException>(() => Pack(new PackOptions(), new PackSource(path), new PackSource(_directory.PathOf("in"), 2))).Message);
        Assert.Equal(new PackSource("some/where", 2.5), PackSource.Parse("some/where=2.5"));
        Assert.Equal(new PackSource("a=b", 3), PackSource.Parse("a=b=3"));
        Assert.Contains("is no weight", Assert.Throws<ArgumentException>(() => PackSource.Parse("a=b")).Message);
        string odd = _directory.WriteText("in/odd=2", "text");
        Assert.Equal(new PackSource(odd), PackSource.Parse(odd));
    }

    private PackedDataSet Pack(PackOptions options)
    {
        new DataPacker(_tokenizer, options).Pack([_directory.PathOf("in")], _directory.PathOf("tokenizer"), _directory.PathOf("out"));
        return PackedDataSet.Open(_directory.PathOf("out"), _tokenizer.Sha256);
    }

    private static int[] Tokens(TokenStream stream)
    {
        var tokens = new int[stream.Count];
        stream.CopyTo(0, tokens);
        return tokens;
    }

    private string[] Documents(TokenStream stream) => _tokenizer.Decode(Tokens(stream), skipSpecial: false).Split(SpecialTokens.EndOfText, StringSplitOptions.RemoveEmptyEntries);
}
