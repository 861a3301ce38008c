using System.Net;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using TrainServe.Core.Random;
using TrainServe.Inference;
using TrainServe.TestSupport;

namespace TrainServe.Server.Tests.Http;

public sealed class ToolsTests
{
    private const string Chat = "/v1/chat/completions";
    private const string Weather = """
        {"type":"function","function":{"name":"get_weather","description":"The weather of a place.","strict":true,
         "parameters":{"type":"object","properties":{"place":{"type":"string","maxLength":4},"days":{"type":"integer","minimum":1,"maximum":7}},"required":["place","days"],"additionalProperties":false}}}
        """;

    private const string Time = """{"type":"function","function":{"name":"get_time"}}""";
    private const string Ask = "\"model\":\"tiny\",\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]";
    private const string LongAsk = "\"max_tokens\":300," + Ask;

    [Fact]
    public async Task A_call_becomes_a_message_and_a_stream_of_deltas()
    {
        await using var server = await StartAsync(server => Saying(server, "ok", ("get_weather", """{"place":"é}","days":3}"""), ("get_time", "{}")));
        string tools = $"\"tools\":[{Weather},{Time}]";
        var whole = (await server.AnswerAsync(Chat, $"{{{Ask},{tools}}}")).GetProperty("choices")[0];
        Assert.Equal("tool_calls", whole.GetProperty("finish_reason").GetString());
        Assert.Equal("ok", whole.GetProperty("message").GetProperty("content").GetString());
        var calls = whole.GetProperty("message").GetProperty("tool_calls").EnumerateArray().ToArray();
        Assert.Equal([("get_weather", """{"place":"é}","days":3}"""), ("get_time", "{}")], calls.Select(call => (Name(call), Arguments(call))));
        Assert.All(calls, call => Assert.StartsWith("call_", call.GetProperty("id").GetString()));

        var stream = await server.StreamAsync(Chat, $"{{{Ask},{tools},\"stream\":true}}");
        Assert.Equal("tool_calls", stream.FinishReason());
        Assert.Equal("ok", stream.Content());
        var deltas = Deltas(stream).ToArray();
        Assert.Equal(
            """{"index":0,"function":{"arguments":"","name":"get_weather"},"id":"ID","type":"function"}""",
            deltas[0].GetRawText().Replace(deltas[0].GetProperty("id").GetString()!, "ID", StringComparison.Ordinal));
        Assert.Equal(["""{"place":"é}","days":3}""", "{}"], [Joined(deltas, 0), Joined(deltas, 1)]);
        Assert.All(deltas.Where(delta => Arguments(delta).Length > 0), delta => Assert.False(delta.TryGetProperty("id", out _)));
    }

    [Theory]
    [InlineData("\"tool_choice\":\"required\"")]
    [InlineData("\"tool_choice\":\"required\",\"parallel_tool_calls\":false")]
    [InlineData("\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"get_weather\"}}")]
    [InlineData("\"tool_choice\":\"auto\"")]
    [InlineData("\"response_format\":{\"type\":\"json_object\"}")]
    public async Task A_model_without_preferences_makes_calls_that_fit_and_the_same_ones_in_a_stream(string choice)
    {
        await using var server = await StartAsync(_ => new ScriptedEngine { Script = Draw });
        int called = 0;
        for (int seed = 0; seed < 25; seed++)
        {
            string body = $"{LongAsk},\"tools\":[{Weather},{Time}],{choice},\"seed\":{seed}";
            var whole = (await server.AnswerAsync(Chat, $"{{{body}}}")).GetProperty("choices")[0];
            var message = whole.GetProperty("message");
            var calls = message.TryGetProperty("tool_calls", out var made) ? made.EnumerateArray().ToArray() : [];
            foreach (var call in calls)
            {
                called++;
                AssertFits(Name(call), Arguments(call));
            }
            if (choice.Contains("required", StringComparison.Ordinal) || choice.Contains("get_weather", StringComparison.Ordinal))
            {
                Assert.InRange(calls.Length, 1, choice.Contains("false", StringComparison.Ordinal) || choice.Contains("get_weather", StringComparison.Ordinal) ? 1 : 16);
                Assert.Equal("tool_calls", whole.GetProperty("finish_reason").GetString());
                Assert.Equal(JsonValueKind.Null, message.GetProperty("content").ValueKind);
            }
            if (choice.Contains("json_object", StringComparison.Ordinal) && calls.Length == 0)
            {
                JsonDocument.Parse(message.GetProperty("content").GetString()!, new JsonDocumentOptions { MaxDepth = 300 }).Dispose();
            }
            var stream = await server.StreamAsync(Chat, $"{{{body},\"stream\":true}}");
            Assert.Equal(message.GetProperty("content").GetString() ?? "", stream.Content());
            Assert.Equal(whole.GetProperty("finish_reason").GetString(), stream.FinishReason());
            var deltas = Deltas(stream).ToArray();
            Assert.Equal(calls.Select(Arguments), Enumerable.Range(0, calls.Length).Select(index => Joined(deltas, index)));
        }
        Assert.True(called > 0);
    }

    [Theory]
    [InlineData("\"output_config\":{\"effort\":\"high\",\"format\":{\"type\":\"json_schema\",\"schema\":SCHEMA}}")]
    [InlineData("\"output_format\":{\"type\":\"json_schema\",\"schema\":SCHEMA}")]
    public async Task Anthropics_clients_get_the_form_that_they_ask_for(string format)
    {
        const string schema = """{"type":"object","properties":{"a":{"enum":[1,"b"]}},"required":["a"],"additionalProperties":false}""";
        await using var server = await StartAsync(_ => new ScriptedEngine { Script = Draw });
        var message = await server.AnswerAsync("/v1/messages", $"{{{LongAsk},{format.Replace("SCHEMA", schema, StringComparison.Ordinal)},\"seed\":1}}");
        Assert.Matches("^\\{\"a\": ?(1|\"b\")\\}$", message.GetProperty("content")[0].GetProperty("text").GetString());
    }

    [Theory]
    [InlineData("\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"x\",\"strict\":true,\"schema\":{\"type\":\"object\",\"properties\":{\"a\":{\"enum\":[1,\"b\"]}},\"required\":[\"a\"],\"additionalProperties\":false}}}", "^\\{\"a\": ?(1|\"b\")\\}$")]
    [InlineData("\"guided_regex\":\"^[a-c]{3}$\"", "^[a-c]{3}$")]
    [InlineData("\"guided_choice\":[\"yes\",\"no\"]", "^(yes|no)$")]
    [InlineData("\"guided_json\":{\"type\":\"boolean\"}", "^(true|false)$")]
    [InlineData("\"structured_outputs\":{\"regex\":\"x+\"}", "x")]
    public async Task An_answer_has_the_form_that_was_asked_for(string format, string pattern)
    {
        await using var server = await StartAsync(_ => new ScriptedEngine { Script = Draw });
        foreach (int seed in (int[])[1, 2, 3])
        {
            var choice = (await server.AnswerAsync(Chat, $"{{\"max_tokens\":60,{Ask},{format},\"seed\":{seed}}}")).GetProperty("choices")[0];
            Assert.Matches(pattern, choice.GetProperty("message").GetProperty("content").GetString()!);
            Assert.Equal("stop", choice.GetProperty("finish_reason").GetString());
        }
    }

    [Fact]
    public async Task Anthropics_calls_are_blocks_with_their_input()
    {
        await using var server = await StartAsync(server => Saying(server, "ok", ("get_weather", """{"place":"a","days":3}"""), ("get_time", "{}")));
        const string body = """
            "model":"tiny","max_tokens":90,"messages":[{"role":"user","content":"a"}],
            "tools":[{"name":"get_weather","input_schema":{"type":"object","properties":{"place":{"type":"string"},"days":{"type":"integer"}}}},{"name":"get_time","input_schema":{"type":"object"}}]
            """;
        var message = await server.AnswerAsync("/v1/messages", $"{{{body}}}");
        Assert.Equal("tool_use", message.GetProperty("stop_reason").GetString());
        var blocks = message.GetProperty("content").EnumerateArray().ToArray();
        Assert.Equal(["text", "tool_use", "tool_use"], blocks.Select(block => block.GetProperty("type").GetString()));
        Assert.Equal(3, blocks[1].GetProperty("input").GetProperty("days").GetInt32());
        Assert.StartsWith("toolu_", blocks[1].GetProperty("id").GetString());

        var stream = await server.StreamAsync("/v1/messages", $"{{{body},\"stream\":true}}");
        Assert.Equal(
            ["message_start", "content_block_start", "content_block_stop", "content_block_start", "content_block_stop", "content_block_start", "content_block_stop", "message_delta", "message_stop"],
            stream.Data.Select(item => item.GetProperty("type").GetString()).Where(type => type != "content_block_delta"));
        string input = string.Concat(stream.Data.Where(item => item.GetProperty("type").GetString() == "content_block_delta" && item.GetProperty("index").GetInt32() == 1)
            .Select(item => item.GetProperty("delta").GetProperty("partial_json").GetString()));
        Assert.Equal("""{"place":"a","days":3}""", input);
        Assert.Equal("tool_use", stream.Data[^2].GetProperty("delta").GetProperty("stop_reason").GetString());
    }

    [Fact]
    public async Task Calls_and_their_results_come_back_into_the_conversation()
    {
        var engine = ScriptedEngine.Saying('h');
        await using var server = await TestServer.StartAsync(engine, "--TrainServe:MaxMessages=100");
        var shown = await server.AnswerAsync("/apply-template", """
            {"model":"tiny","messages":[{"role":"user","content":"a"},
             {"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}]},
             {"role":"tool","tool_call_id":"1","content":"r"}]}
            """);
        Assert.EndsWith("""<|user|>a<|end|><|assistant|><|tool_call|>{"name": "f", "arguments": {"x":1}}<|end|><|tool|>r<|end|><|assistant|>""", shown.GetProperty("prompt").GetString());
        var counted = await server.AnswerAsync("/v1/messages/count_tokens", """
            {"model":"tiny","messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"tool_use","id":"1","name":"f","input":{"x":1}}]},
             {"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":[{"type":"text","text":"r"}]}]}]}
            """);
        Assert.Equal(shown.GetProperty("tokens").GetArrayLength(), counted.GetProperty("input_tokens").GetInt32());
    }

    [Fact]
    public async Task The_model_reads_what_tools_there_are()
    {
        var engine = ScriptedEngine.Saying('h');
        await using var server = await StartAsync(_ => engine);
        await server.AnswerAsync(Chat, $"{{{Ask},\"tools\":[{Weather}]}}");
        string prompt = server.Tokenizer.Decode([.. engine.Requests[0].PromptIds], skipSpecial: false);
        Assert.StartsWith("<|endoftext|><|system|>Tools:\n- get_weather: The weather of a place.\n  arguments: {\"type\":\"object\"", prompt);
        await server.AnswerAsync(Chat, $"{{{Ask},\"tools\":[{Weather}],\"tool_choice\":\"none\"}}");
        Assert.DoesNotContain(engine.Requests[1].PromptIds, id => id == server.Tokenizer.Special.TryGetId("<|system|>"));
        Assert.Null(engine.Requests[1].Constraint);
    }

    [Theory]
    [InlineData("\"tool_choice\":\"required\"", "tool_choice", "invalid_value")]
    [InlineData("\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"g\"}}", "tool_choice", "invalid_value")]
    [InlineData("\"tools\":[{\"type\":\"custom\",\"custom\":{\"name\":\"f\"}}]", "tools[0].type", "unsupported_parameter")]
    [InlineData("\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a b\"}}]", "tools[0].function.name", "invalid_value")]
    [InlineData("\"tools\":[{\"type\":\"function\",\"function\":{\"description\":\"x\"}}]", "tools[0].function.name", "missing_required_parameter")]
    [InlineData("\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}},{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]", "tools[1]", "invalid_value")]
    [InlineData("\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"not\":{}}}}]", "tools[0].function.parameters", "invalid_function_parameters")]
    [InlineData("\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"x\",\"schema\":{\"type\":\"king\"}}}", "response_format", "invalid_json_schema")]
    [InlineData("\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"x\",\"schema\":{\"$ref\":\"#\"}}}", "response_format", "invalid_json_schema")]
    [InlineData("\"response_format\":{\"type\":\"json_schema\"}", "response_format.json_schema.schema", "missing_required_parameter")]
    [InlineData("\"response_format\":{\"type\":\"xml\"}", "response_format.type", "invalid_value")]
    [InlineData("\"guided_regex\":\"(a\"", "guided_regex", "invalid_value")]
    [InlineData("\"response_format\":{\"type\":\"json_object\"},\"ignore_eos\":true", "ignore_eos", "invalid_parameter_combination")]
    public async Task What_cannot_be_done_is_refused(string parameters, string param, string code)
    {
        await using var server = await StartAsync(_ => ScriptedEngine.Saying('h'));
        using var response = await server.PostToAsync(Chat, $"{{{Ask},{parameters}}}");
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        await Envelope.AssertAsync(response, "invalid_request_error", param, code);
    }

    private static void AssertFits(string name, string arguments)
    {
        using var json = JsonDocument.Parse(arguments);
        if (name == "get_time")
        {
            Assert.Equal("{}", arguments);
            return;
        }
        Assert.Equal("get_weather", name);
        Assert.Equal(["place", "days"], json.RootElement.EnumerateObject().Select(property => property.Name));
        Assert.InRange(json.RootElement.GetProperty("place").GetString()!.EnumerateRunes().Count(), 0, 4);
        Assert.InRange(json.RootElement.GetProperty("days").GetInt32(), 1, 7);
    }

    // The scripts need the tokenizer, which comes with the server.
    private static async Task<TestServer> StartAsync(Func<TestServer, ScriptedEngine> make)
    {
        var engine = new ScriptedEngine { Script = (_, _) => throw new InvalidOperationException("Not set yet.") };
        ScriptedEngine? made = null;
        var server = await TestServer.StartListeningAsync(directory => Task.FromResult(TestServer.MakeModel(directory, engine, contextLength: 1024)));
        made = make(server);
        engine.Script = (request, cancellation) => made.GenerateAsync(request, cancellation);
        await Eventually.AssertAsync(async () => (await server.Client.GetAsync("/health/ready")).IsSuccessStatusCode);
        return server;
    }

    private static ScriptedEngine Saying(TestServer server, string text, params (string Name, string Arguments)[] calls)
    {
        var ids = Encoding.UTF8.GetBytes(text).Select(value => (int)value).ToList();
        foreach (var (name, arguments) in calls)
        {
            ids.Add(server.Tokenizer.Special.TryGetId("<|tool_call|>")!.Value);
            ids.AddRange(Encoding.UTF8.GetBytes($$"""{"name": "{{name}}", "arguments": {{arguments}}}""").Select(value => (int)value));
        }
        return ScriptedEngine.Saying([.. ids]);
    }

    /// <summary>Any token that the constraint leaves, one as likely as another.</summary>
    private static async IAsyncEnumerable<GeneratedToken> Draw(GenerationRequest request, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await Task.Yield();
        var random = new PhiloxRandom(request.Sampling.Seed!.Value);
        float[] logits = new float[300];
        for (int i = 1; i <= request.MaxNewTokens; i++)
        {
            Array.Clear(logits);
            request.Constraint!.Mask(logits);
            int[] allowed = [.. Enumerable.Range(0, logits.Length).Where(id => logits[id] == 0)];
            int id = allowed[random.NextInt32(allowed.Length)];
            bool stop = request.StopTokenIds.Contains(id);
            yield return ScriptedEngine.Token(id, stop ? FinishReason.Stop : i == request.MaxNewTokens ? FinishReason.Length : null);
            if (stop)
            {
                yield break;
            }
            request.Constraint.Accept(id);
        }
    }

    private static IEnumerable<JsonElement> Deltas(ServerSentEvents stream) =>
        stream.Choices().SelectMany(choice => choice.GetProperty("delta").TryGetProperty("tool_calls", out var calls) ? calls.EnumerateArray().ToArray() : []);

    private static string Joined(IEnumerable<JsonElement> deltas, int index) => string.Concat(deltas.Where(delta => delta.GetProperty("index").GetInt32() == index).Select(Arguments));

    private static string Name(JsonElement call) => call.GetProperty("function").GetProperty("name").GetString()!;

    private static string Arguments(JsonElement call) => call.GetProperty("function").GetProperty("arguments").GetString()!;
}
