using System.Text;
using TrainServe.Core.IO;

namespace TrainServe.Core.Tests.IO;

public sealed class JsonFileTests
{
    [Theory]
    [InlineData("""{"name":"a"}""", null)]
    [InlineData("""{"name":"a","note":null,"words":["b"],"inner":{"c":{"name":"d"}},"numbers":{"e":1}}""", null)]
    [InlineData("""null""", "x.json: $ is null, where a value is needed.")]
    [InlineData("""{"name":null}""", "x.json, line 1: $.name is null, where a value is needed.")]
    [InlineData("""{"words":[]}""", "x.json, line 1: the content lacks 'name'.")]
    [InlineData("""{"name":"a","words":["b",null]}""", "x.json: $.words[1] is null, where a value is needed.")]
    [InlineData("""{"name":"a","inner":{"c":null}}""", "x.json: $.inner.c is null, where a value is needed.")]
    [InlineData("""{"name":"a","inner":{"c":{"name":"d","words":[null]}}}""", "x.json: $.inner.c.words[0] is null, where a value is needed.")]
    [InlineData("""{"name":"a","numbers":{"e":"f"}}""", "x.json, line 1: $.numbers.e has a value of another kind than is needed.")]
    [InlineData("""{"name":"a","name":"b"}""", "x.json, line 1, at $.name is not the JSON that is expected: Duplicate property 'name' encountered during deserialization of type 'TrainServe.Core.Tests.IO.JsonFileTests+Record'.")]
    [InlineData("""{"name":"\ud800"}""", "x.json, line 1 is not the JSON that is expected: a string has half of a surrogate pair, or bytes that are not UTF-8.")]
    public void A_value_that_does_not_fit_is_one_sentence_with_file_line_and_field(string json, string? message) =>
        Assert.Equal(message, Xunit.Record.Exception(() => JsonFile.Parse<Record>(Encoding.UTF8.GetBytes(json), "x.json", JsonFile.SnakeCase))?.Message);

    [Fact]
    public void A_document_of_any_shape_names_the_line_of_its_fault()
    {
        Assert.StartsWith("x.json, line 3 is not the JSON that is expected: ", Refusal("{\n\"a\": 1,\n}"));
        Assert.Equal("x.json, line 2 is not the JSON that is expected: a string has half of a surrogate pair, or bytes that are not UTF-8.", Refusal("{\n\"\\udc00\": 1}"));
    }

    private static string Refusal(string json) => Assert.Throws<InvalidDataException>(() => JsonFile.ParseDocument(Encoding.UTF8.GetBytes(json), "x.json")).Message;

    private sealed record Record(string Name)
    {
        public string? Note { get; init; }
        public IReadOnlyList<string> Words { get; init; } = [];
        public IReadOnlyDictionary<string, Record> Inner { get; init; } = new Dictionary<string, Record>();
        public IReadOnlyDictionary<string, int> Numbers { get; init; } = new Dictionary<string, int>();
    }
}
