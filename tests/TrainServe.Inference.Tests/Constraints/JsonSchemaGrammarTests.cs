using System.Text.Json;
using TrainServe.Inference.Constraints;
using static TrainServe.Inference.Tests.Constraints.GrammarTexts;

namespace TrainServe.Inference.Tests.Constraints;

public sealed class JsonSchemaGrammarTests
{
    private const string Person = """
        {"type":"object","properties":{"name":{"type":"string","maxLength":5},"age":{"type":"integer","minimum":0,"maximum":130},"tags":{"type":"array","items":{"enum":["a","é\"b"]},"maxItems":2},
         "mother":{"anyOf":[{"type":"null"},{"$ref":"#"}]}},"required":["name","mother"],"additionalProperties":false}
        """;

    [Theory]
    [InlineData(Person, "{\"name\":\"Ann\",\"mother\":null}", true)]
    [InlineData(Person, "{\"name\": \"Ann\", \"age\": 130, \"tags\": [\"a\", \"é\\\"b\"], \"mother\": {\"name\":\"\\u00e9\\n\",\"mother\":null}}", true)]
    [InlineData(Person, "{\"mother\":null,\"name\":\"Ann\"}", false)]
    [InlineData(Person, "{\"name\":\"Ann\"}", false)]
    [InlineData(Person, "{\"name\":\"Annika\",\"mother\":null}", false)]
    [InlineData(Person, "{\"name\":\"Ann\",\"age\":131,\"mother\":null}", false)]
    [InlineData(Person, "{\"name\":\"Ann\",\"age\":-1,\"mother\":null}", false)]
    [InlineData(Person, "{\"name\":\"Ann\",\"tags\":[\"a\",\"a\",\"a\"],\"mother\":null}", false)]
    [InlineData(Person, "{\"name\":\"Ann\",\"mother\":null,\"x\":1}", false)]
    [InlineData("true", "[1,{\"a\":null}]", true)]
    [InlineData("{}", "-0.5e-10", true)]
    [InlineData("{}", "01", false)]
    [InlineData("{}", "\"\\ud800\"", false)]
    [InlineData("{\"type\":\"object\"}", "{\"a\":{\"b\":[]}}", true)]
    [InlineData("{\"type\":\"object\"}", "[]", false)]
    [InlineData("{\"type\":\"object\",\"additionalProperties\":{\"type\":\"boolean\"}}", "{\"a\":true}", true)]
    [InlineData("{\"type\":\"object\",\"additionalProperties\":{\"type\":\"boolean\"}}", "{\"a\":1}", false)]
    [InlineData("{\"type\":[\"string\",\"null\"]}", "null", true)]
    [InlineData("{\"type\":[\"string\",\"null\"]}", "1", false)]
    [InlineData("{\"const\":{\"a\":[1]}}", "{\"a\":[1]}", true)]
    [InlineData("{\"type\":\"string\",\"pattern\":\"^a+$\"}", "\"aaa\"", true)]
    [InlineData("{\"type\":\"string\",\"pattern\":\"a\"}", "\"xay\"", true)]
    [InlineData("{\"type\":\"string\",\"pattern\":\"^a+$\"}", "\"aab\"", false)]
    [InlineData("{\"type\":\"string\",\"format\":\"date\"}", "\"2024-02-28\"", true)]
    [InlineData("{\"type\":\"string\",\"format\":\"date\"}", "\"2024-13-01\"", false)]
    [InlineData("{\"type\":\"array\",\"items\":{\"type\":\"null\"},\"minItems\":2,\"maxItems\":3}", "[null, null]", true)]
    [InlineData("{\"type\":\"array\",\"items\":{\"type\":\"null\"},\"minItems\":2,\"maxItems\":3}", "[null]", false)]
    [InlineData("{\"type\":\"array\",\"maxItems\":0}", "[]", true)]
    [InlineData("{\"type\":\"number\",\"minimum\":0}", "-1", false)]
    [InlineData("{\"type\":\"integer\"}", "1.5", false)]
    // Unknown keywords and formats restrict nothing, and known ones only values of their type.
    [InlineData("{\"type\":\"string\",\"x-order\":1,\"format\":\"color\",\"minimum\":3}", "\"red\"", true)]
    [InlineData("{\"type\":\"string\",\"format\":\"date\"}", "\"2024-12-31\"", true)]
    [InlineData("{\"type\":\"string\",\"format\":\"date\"}", "\"2024-11-31\"", false)]
    [InlineData("{\"type\":\"string\",\"format\":\"uri\"}", "\"https://a.example/b?c=d#e\"", true)]
    [InlineData("{\"type\":\"string\",\"format\":\"uri\"}", "\"a/b\"", false)]
    [InlineData("{\"type\":\"string\",\"format\":\"uri-reference\"}", "\"://\"", false)]
    [InlineData("{\"type\":\"string\",\"pattern\":\"^a|b$\"}", "\"xb\"", true)]
    [InlineData("{\"type\":\"string\",\"pattern\":\"^a|b$\"}", "\"xa\"", false)]
    // What stands in several places has to hold in all of them.
    [InlineData("{\"allOf\":[{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}}},{\"properties\":{\"a\":{\"minimum\":3},\"b\":true},\"required\":[\"b\"]}]}", "{\"a\":3,\"b\":null}", true)]
    [InlineData("{\"allOf\":[{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}}},{\"properties\":{\"a\":{\"minimum\":3},\"b\":true},\"required\":[\"b\"]}]}", "{\"a\":2,\"b\":null}", false)]
    [InlineData("{\"allOf\":[{\"type\":\"object\",\"properties\":{\"a\":true},\"additionalProperties\":false},{\"properties\":{\"b\":true}}]}", "{\"b\":1}", false)]
    [InlineData("{\"type\":\"object\",\"properties\":{\"a\":true,\"b\":true},\"anyOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\"]}],\"additionalProperties\":false}", "{\"b\":1}", true)]
    [InlineData("{\"type\":\"object\",\"properties\":{\"a\":true,\"b\":true},\"anyOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\"]}],\"additionalProperties\":false}", "{}", false)]
    [InlineData("{\"$ref\":\"#/$defs/x\",\"maximum\":4,\"$defs\":{\"x\":{\"type\":\"integer\",\"minimum\":2}}}", "4", true)]
    [InlineData("{\"$ref\":\"#/$defs/x\",\"maximum\":4,\"$defs\":{\"x\":{\"type\":\"integer\",\"minimum\":2}}}", "5", false)]
    // Properties that are not named, and their names.
    [InlineData("{\"type\":\"object\",\"properties\":{\"ab\":{\"type\":\"null\"}},\"additionalProperties\":{\"type\":\"integer\"}}", "{\"ab\":null,\"a\":1,\"abc\":2,\"\":3}", true)]
    [InlineData("{\"type\":\"object\",\"properties\":{\"ab\":{\"type\":\"null\"}},\"additionalProperties\":{\"type\":\"integer\"}}", "{\"ab\":1}", false)]
    [InlineData("{\"type\":\"object\",\"properties\":{\"ab\":{\"type\":\"null\"}},\"additionalProperties\":{\"type\":\"integer\"}}", "{\"\\u0061b\":1}", false)]
    [InlineData("{\"type\":\"object\",\"patternProperties\":{\"^x_\":{\"type\":\"integer\"}},\"additionalProperties\":false}", "{\"x_1\":1}", true)]
    [InlineData("{\"type\":\"object\",\"patternProperties\":{\"^x_\":{\"type\":\"integer\"}},\"additionalProperties\":false}", "{\"y\":1}", false)]
    [InlineData("{\"type\":\"object\",\"properties\":{\"x_1\":{\"type\":\"number\"}},\"patternProperties\":{\"^x_\":{\"type\":\"integer\"}}}", "{\"x_1\":1.5}", false)]
    [InlineData("{\"type\":\"object\",\"properties\":{\"a\":{}},\"required\":[\"b\"]}", "{\"b\":1}", true)]
    // Lists, and numbers between bounds.
    [InlineData("{\"type\":\"array\",\"prefixItems\":[{\"type\":\"null\"},{\"type\":\"integer\"}],\"items\":{\"type\":\"boolean\"},\"minItems\":1}", "[null,1,true,false]", true)]
    [InlineData("{\"type\":\"array\",\"prefixItems\":[{\"type\":\"null\"},{\"type\":\"integer\"}],\"items\":false}", "[null,1,2]", false)]
    [InlineData("{\"type\":\"number\",\"minimum\":-2,\"maximum\":3}", "-1.99", true)]
    [InlineData("{\"type\":\"number\",\"minimum\":-2,\"maximum\":3}", "3.0", true)]
    [InlineData("{\"type\":\"number\",\"minimum\":-2,\"maximum\":3}", "3.01", false)]
    [InlineData("{\"type\":\"number\",\"exclusiveMinimum\":0}", "0.00", false)]
    [InlineData("{\"type\":\"number\",\"exclusiveMinimum\":0}", "0.001", true)]
    [InlineData("{\"type\":\"number\",\"minimum\":0,\"exclusiveMinimum\":true}", "0", false)]
    public void A_schema_takes_what_is_valid_in_its_order_and_nothing_else(string schema, string text, bool valid) =>
        Assert.Equal(valid, Accepts(JsonSchemaGrammar.Make(Json(schema)), text));

    [Fact]
    public void What_a_model_without_preferences_makes_is_always_valid()
    {
        var grammar = JsonSchemaGrammar.Make(Json(Person));
        for (ulong seed = 0; seed < 100; seed++)
        {
            var (text, complete, _) = Draw(grammar, seed, maxNewTokens: 300);
            Assert.True(complete, text);
            AssertPerson(JsonDocument.Parse(text).RootElement);
        }
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("{\"type\":\"object\"}")]
    [InlineData(Person)]
    [InlineData("{\"type\":\"array\",\"items\":{\"type\":\"array\",\"items\":{\"type\":\"string\",\"minLength\":3}}}")]
    public void With_few_tokens_left_the_text_is_brought_to_its_end(string schema)
    {
        var grammar = JsonSchemaGrammar.Make(Json(schema));
        for (ulong seed = 0; seed < 60; seed++)
        {
            int most = 28 + (int)(seed % 20);
            var (text, complete, tokens) = Draw(grammar, seed, most);
            Assert.True(complete, text);
            Assert.InRange(tokens, 1, most);
            JsonDocument.Parse(text).Dispose();
        }
    }

    [Fact]
    public void Any_value_is_well_formed_JSON_whatever_is_drawn()
    {
        for (ulong seed = 0; seed < 200; seed++)
        {
            var (text, complete, _) = Draw(JsonGrammar.Value, seed, maxNewTokens: 200);
            Assert.True(complete, text);
            using var value = JsonDocument.Parse(text, new JsonDocumentOptions { MaxDepth = 500 });
        }
    }

    [Theory]
    [InlineData("5", "$", "a schema must be an object or true")]
    [InlineData("{\"type\":\"king\"}", "$", "'king' is not a type")]
    [InlineData("{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"format\":\"regex\"}}}", "$.properties.a", "the format 'regex' is not supported")]
    [InlineData("{\"type\":\"object\",\"properties\":{\"a\":{}},\"required\":[\"b\"],\"additionalProperties\":false}", "$", "'required' names 'b'")]
    [InlineData("{\"allOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]}", "$", "its parts exclude each other")]
    [InlineData("{\"allOf\":[{\"pattern\":\"a\"},{\"pattern\":\"b\"}]}", "$.allOf[1]", "'pattern' stands in two schemas")]
    [InlineData("{\"type\":\"number\",\"minimum\":0.5}", "$", "only whole bounds")]
    [InlineData("{\"type\":\"number\",\"minimum\":2,\"exclusiveMaximum\":2}", "$", "the minimum is above the maximum")]
    [InlineData("{\"type\":\"object\",\"minProperties\":1}", "$", "'minProperties' is not supported")]
    [InlineData("{\"type\":\"array\",\"uniqueItems\":true}", "$", "'uniqueItems' is not supported")]
    [InlineData("{\"type\":\"array\",\"minItems\":3,\"maxItems\":2}", "$", "'minItems' is above 'maxItems'")]
    [InlineData("{\"type\":\"integer\",\"minimum\":3,\"maximum\":2}", "$", "the minimum is above the maximum")]
    [InlineData("{\"$ref\":\"http://example.org/x\"}", "$", "must begin with '#/'")]
    [InlineData("{\"$ref\":\"#/$defs/x\"}", "$", "is not in this schema")]
    [InlineData("{\"type\":\"string\",\"pattern\":\"(?=a)\"}", "$", "the pattern cannot be used")]
    [InlineData("{\"enum\":[]}", "$", "'enum' must be an array")]
    [InlineData("{\"not\":{}}", "$", "'not' is not supported")]
    public void What_a_grammar_cannot_hold_to_is_refused(string schema, string path, string fault)
    {
        var error = Assert.Throws<JsonSchemaException>(() => JsonSchemaGrammar.Make(Json(schema)));
        Assert.Equal(path, error.Path);
        Assert.Contains(fault, error.Message);
    }

    [Fact]
    public void A_schema_that_is_too_large_or_too_deep_is_refused()
    {
        Assert.Throws<GrammarTooLargeException>(() => new CompiledGrammar(JsonSchemaGrammar.Make(Json("""{"type":"string","maxLength":10000}"""))));
        string deep = string.Concat(Enumerable.Repeat("{\"items\":", 40)) + "{}" + new string('}', 40);
        Assert.Throws<JsonSchemaException>(() => JsonSchemaGrammar.Make(Json(deep)));
        // Schemas that only endless values could meet.
        Assert.Throws<GrammarTooLargeException>(() => new CompiledGrammar(JsonSchemaGrammar.Make(Json("""{"$ref":"#"}"""))));
        Assert.Throws<GrammarTooLargeException>(() => new CompiledGrammar(JsonSchemaGrammar.Make(Json("""{"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]}"""))));
    }

    [Fact]
    public void What_would_never_end_is_not_begun()
    {
        const string schema = """{"type":"object","properties":{"a":{"$ref":"#/$defs/endless"},"b":{"type":"null"}},"$defs":{"endless":{"type":"array","items":{"$ref":"#/$defs/endless"},"minItems":1}}}""";
        for (ulong seed = 0; seed < 30; seed++)
        {
            var (text, complete, _) = Draw(JsonSchemaGrammar.Make(Json(schema)), seed, 40);
            Assert.True(complete, text);
            Assert.DoesNotContain("a", text);
        }
    }

    [Theory]
    [InlineData(-250L, 1030L)]
    [InlineData(0L, 0L)]
    [InlineData(17L, 18L)]
    [InlineData(-19L, -7L)]
    [InlineData(99L, 1001L)]
    public void Ranges_of_whole_numbers_are_exact(long least, long most)
    {
        var grammar = IntegerRange.Make(least, most);
        for (long value = least - 120; value <= most + 120; value++)
        {
            Assert.Equal(value >= least && value <= most, Accepts(grammar, value.ToString(System.Globalization.CultureInfo.InvariantCulture)));
        }
    }

    private static void AssertPerson(JsonElement person)
    {
        string[] names = [.. person.EnumerateObject().Select(property => property.Name)];
        Assert.Equal(names.Distinct(), names);
        Assert.All(names, name => Assert.Contains(name, new[] { "name", "age", "tags", "mother" }));
        Assert.InRange(person.GetProperty("name").GetString()!.EnumerateRunes().Count(), 0, 5);
        if (person.TryGetProperty("age", out var age))
        {
            Assert.InRange(age.GetInt32(), 0, 130);
        }
        if (person.TryGetProperty("tags", out var tags))
        {
            Assert.InRange(tags.GetArrayLength(), 0, 2);
            Assert.All(tags.EnumerateArray(), tag => Assert.Contains(tag.GetString(), new[] { "a", "é\"b" }));
        }
        if (person.GetProperty("mother") is { ValueKind: not JsonValueKind.Null } mother)
        {
            AssertPerson(mother);
        }
    }
}
