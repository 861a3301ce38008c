using System.Text;
using TrainServe.Core.Chat;
using TrainServe.Server.Errors;
using TrainServe.Server.Requests;

namespace TrainServe.Server.Tests.Requests;

public sealed class ChatCompletionRequestTests
{
    private const string Messages = "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]";

    [Fact]
    public void Every_honoured_parameter_is_read()
    {
        var request = Parse("""
            {"messages":[{"role":"developer","content":"be kind"},{"role":"user","content":[{"type":"text","text":"he"},{"type":"text","text":"llo"}],"name":"Ann"}],
             "model":"tiny","stream":true,"stream_options":{"include_usage":true},"temperature":0.5,"top_p":0.25,"top_k":7,"min_p":0.125,"n":3,"max_tokens":9,
             "stop":["a","b"],"stop_token_ids":[1,2],"ignore_eos":true,"seed":-5,"logprobs":true,"top_logprobs":20,"logit_bias":{"4":-100,"5":1.5},
             "frequency_penalty":-2,"presence_penalty":2,"repetition_penalty":1.25}
            """);
        Assert.Equal([ChatRole.System, ChatRole.User], request.Messages!.Select(message => message.Role));
        Assert.Equal(["be kind", "hello"], request.Messages!.Select(message => message.Content));
        Assert.Equal("Ann", request.Messages![1].Name);
        Assert.Equal("tiny", request.Model);
        Assert.True(request.Stream);
        Assert.Equal(new StreamOptions(IncludeUsage: true), request.StreamOptions);
        Assert.Equal((0.5f, 0.25f, 7, 0.125f), (request.Temperature, request.TopP, request.TopK, request.MinP));
        Assert.Equal((3, 9, null), (request.N, request.MaxTokens, request.MaxCompletionTokens));
        Assert.Equal(["a", "b"], request.Stop);
        Assert.Equal([1, 2], request.StopTokenIds);
        Assert.True(request.IgnoreEos);
        Assert.Equal(-5, request.Seed);
        Assert.True(request.Logprobs);
        Assert.Equal(20, request.TopLogprobs);
        Assert.Equal(new Dictionary<int, float> { [4] = -100, [5] = 1.5f }, request.LogitBias);
        Assert.Equal((-2f, 2f, 1.25f), (request.FrequencyPenalty, request.PresencePenalty, request.RepetitionPenalty));
    }

    [Fact]
    public void Null_means_that_a_parameter_was_not_sent()
    {
        string nulls = string.Join(',', ChatParameters.Table.All.Where(parameter => parameter.Name != "messages").Select(parameter => $"\"{parameter.Name}\":null"));
        var plain = Parse($"{{{Messages}}}");
        var request = Parse($"{{{Messages},{nulls}}}");
        Assert.Equal(plain with { Messages = request.Messages }, request);
    }

    [Fact]
    public void What_refused_parameters_may_say_is_accepted()
    {
        foreach (var parameter in ChatParameters.Table.All)
        {
            foreach (string neutral in parameter.Neutral)
            {
                Parse($"{{{Messages},\"{parameter.Name}\": {neutral.Replace(":", " : ", StringComparison.Ordinal)} }}");
            }
        }
    }

    [Theory]
    [InlineData("\"user\":\"me\"")]
    [InlineData("\"store\":true,\"metadata\":{\"a\":\"b\"}")]
    [InlineData("\"service_tier\":\"auto\",\"safety_identifier\":\"x\"")]
    [InlineData("\"prompt_cache_key\":\"k\",\"prompt_cache_retention\":\"24h\",\"prompt_cache_options\":{\"ttl\":\"1h\"}")]
    [InlineData("\"prediction\":{\"type\":\"content\",\"content\":\"x\"},\"parallel_tool_calls\":false")]
    [InlineData("\"logit_bias\":{},\"stop\":[],\"cache_salt\":\"s\"")]
    [InlineData("\"stop\":\"\"")]
    public void What_has_no_effect_is_accepted(string parameters) => Parse($"{{{Messages},{parameters}}}");

    [Theory]
    [InlineData("\"functions\":[{\"name\":\"f\"}]", "functions")]
    [InlineData("\"function_call\":{\"name\":\"f\"}", "function_call")]
    [InlineData("\"moderation\":{}", "moderation")]
    [InlineData("\"verbosity\":\"low\"", "verbosity")]
    [InlineData("\"modalities\":[\"text\",\"audio\"]", "modalities")]
    [InlineData("\"audio\":{\"voice\":\"alloy\",\"format\":\"mp3\"}", "audio")]
    [InlineData("\"reasoning_effort\":\"high\"", "reasoning_effort")]
    [InlineData("\"web_search_options\":{}", "web_search_options")]
    [InlineData("\"bad_words\":[\"x\"]", "bad_words")]
    [InlineData("\"guided_grammar\":\"root ::= x\"", "guided_grammar")]
    public void What_this_server_cannot_do_is_refused_by_name(string parameters, string param)
    {
        var error = Refused($"{{{Messages},{parameters}}}");
        Assert.Equal("unsupported_parameter", error.Code);
        Assert.Equal(param, error.Param);
        Assert.Contains($"'{param}'", error.Message);
    }

    public static TheoryData<string, string?, string?, string> Wrong { get; } = new()
    {
        { "null", null, null, "We could not parse the JSON body of your request: the body must be an object, but it is null." },
        { "[]", null, null, "We could not parse the JSON body of your request: the body must be an object, but it is an array." },
        { "", null, null, "We could not parse the JSON body of your request: it is wrong at line 1, byte 1." },
        { "{\"model\":", null, null, "We could not parse the JSON body of your request: it is wrong at line 1, byte 10." },
        { "{} {}", null, null, "We could not parse the JSON body of your request: it is wrong at line 1, byte 4." },
        { "{}", "missing_required_parameter", "messages", "Missing required parameter: 'messages'." },
        { "{\"messages\":null}", "invalid_type", "messages", "Invalid type for 'messages': expected an array of objects, but got null instead." },
        { "{\"messages\":\"hi\"}", "invalid_type", "messages", "Invalid type for 'messages': expected an array of objects, but got a string instead." },
        { "{\"messages\":[]}", "empty_array", "messages", "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead." },
        { "{\"messages\":[1]}", "invalid_type", "messages[0]", "Invalid type for 'messages[0]': expected an object, but got an integer instead." },
        { "{\"messages\":[{\"content\":\"x\"}]}", "missing_required_parameter", "messages[0].role", "Missing required parameter: 'messages[0].role'." },
        { "{\"messages\":[{\"role\":\"user\"}]}", "missing_required_parameter", "messages[0].content", "Missing required parameter: 'messages[0].content'." },
        { "{\"messages\":[{\"role\":\"king\",\"content\":\"x\"}]}", "invalid_value", "messages[0].role", "Invalid value: 'king'. Supported values are: 'developer', 'system', 'user', 'assistant', and 'tool'." },
        { "{\"messages\":[{\"role\":\"user\",\"content\":5}]}", "invalid_type", "messages[0].content", "Invalid type for 'messages[0].content': expected a string or an array of content parts, but got an integer instead." },
        { "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]}", "missing_required_parameter", "messages[0].content[0].text", "Missing required parameter: 'messages[0].content[0].text'." },
        { "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{}}]}]}", "unsupported_parameter", "messages[0].content[0].type", "Unsupported parameter: 'messages[0].content[0].type' is not supported by this server: models here read text only, not 'image_url'." },
        { "{\"messages\":[{\"role\":\"user\",\"content\":\"x\",\"mood\":1}]}", "unknown_parameter", "messages[0].mood", "Unknown parameter: 'messages[0].mood'." },
        { Body("\"n\":\"1\""), "invalid_type", "n", "Invalid type for 'n': expected an integer, but got a string instead." },
        { Body("\"n\":1.5"), "invalid_type", "n", "Invalid type for 'n': expected an integer, but got a decimal number instead." },
        { Body("\"n\":130"), "integer_above_max_value", "n", "Invalid 'n': integer above maximum value. Expected a value <= 128, but got 130 instead." },
        { Body("\"n\":0"), "integer_below_min_value", "n", "Invalid 'n': integer below minimum value. Expected a value >= 1, but got 0 instead." },
        { Body("\"n\":99999999999999999999"), "integer_above_max_value", "n", "Invalid 'n': integer above maximum value. Expected a value <= 128, but got 99999999999999999999 instead." },
        { Body("\"temperature\":2.5"), "decimal_above_max_value", "temperature", "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 2.5 instead." },
        { Body("\"temperature\":1e999"), "decimal_above_max_value", "temperature", "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 1e999 instead." },
        { Body("\"temperature\":-1e999"), "decimal_below_min_value", "temperature", "Invalid 'temperature': decimal below minimum value. Expected a value >= 0, but got -1e999 instead." },
        { Body("\"temperature\":NaN"), null, null, "We could not parse the JSON body of your request: it is wrong at line 1, byte 60." },
        { Body("\"temperature\":\"NaN\""), "invalid_type", "temperature", "Invalid type for 'temperature': expected a decimal, but got a string instead." },
        { Body("\"stream\":\"true\""), "invalid_type", "stream", "Invalid type for 'stream': expected a boolean, but got a string instead." },
        { Body("\"logit_bias\":{\"x\":1}"), "invalid_value", "logit_bias.x", "Invalid key in 'logit_bias': x. Keys are token ids." },
        { Body("\"logit_bias\":{\"1\":101}"), "decimal_above_max_value", "logit_bias.1", "Invalid 'logit_bias.1': decimal above maximum value. Expected a value <= 100, but got 101 instead." },
        { Body("\"stop\":[\"a\",\"b\",\"c\",\"d\",\"e\"]"), "array_above_max_length", "stop", "Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length 5 instead." },
        { Body("\"stop\":[\"\"]"), "string_below_min_length", "stop[0]", "Invalid 'stop[0]': empty string. Expected a string with minimum length 1, but got an empty string instead." },
        { Body("\"user\":7"), "invalid_type", "user", "Invalid type for 'user': expected a string, but got an integer instead." },
        { Body("\"safety_identifier\":\"" + new string('x', 65) + "\""), "string_above_max_length", "safety_identifier", "Invalid 'safety_identifier': string too long. Expected a string with maximum length 64, but got a string with length 65 instead." },
        { Body("\"service_tier\":\"gold\""), "invalid_value", "service_tier", "Invalid value: 'gold'. Supported values are: 'auto', 'default', 'flex', 'scale', 'priority', and 'fast'." },
        { Body("\"top_logprobs\":21,\"logprobs\":true"), "integer_above_max_value", "top_logprobs", "Invalid 'top_logprobs': integer above maximum value. Expected a value <= 20, but got 21 instead." },
        { Body("\"top_logprobs\":2"), "invalid_value", "top_logprobs", "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled." },
        { Body("\"stream_options\":{}"), "invalid_value", "stream_options", "The 'stream_options' parameter is only allowed when 'stream' is enabled." },
        { Body("\"max_tokens\":1,\"max_completion_tokens\":2"), "invalid_parameter_combination", "max_tokens", "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported." },
        { Body("\"max_tokens\":0"), "integer_below_min_value", "max_tokens", "Invalid 'max_tokens': integer below minimum value. Expected a value >= 1, but got 0 instead." },
        { Body("\"repetition_penalty\":0"), "decimal_below_min_value", "repetition_penalty", "Invalid 'repetition_penalty': decimal below minimum value. Expected a value >= 0.01, but got 0 instead." },
        { Body("\"repetition_penalty\":0.005"), "decimal_below_min_value", "repetition_penalty", "Invalid 'repetition_penalty': decimal below minimum value. Expected a value >= 0.01, but got 0.005 instead." },
        { Body("\"frobnicate\":1"), "unknown_parameter", "frobnicate", "Unknown parameter: 'frobnicate'." },
        { Body("\"Temperature\":1"), "unknown_parameter", "Temperature", "Unknown parameter: 'Temperature'." },
        { Body("\"n\":1,\"n\":1"), "duplicate_parameter", "n", "Invalid body: the key 'n' appears more than once." },
        { Body("\"prediction\":{\"a\":[{\"b\":1,\"b\":2}]}"), "duplicate_parameter", "prediction.a[0].b", "Invalid body: the key 'prediction.a[0].b' appears more than once." },
        { Body("\"user\":\"\\ud800\""), "invalid_value", "user", "Invalid body: a string holds half of a surrogate pair, which is not text." },
        { Body("\"\\ud800\":1"), "invalid_value", null, "Invalid body: a string holds half of a surrogate pair, which is not text." },
        { Body("\"prediction\":" + new string('[', 80)), "invalid_type", "prediction", "Invalid type for 'prediction': expected an object, but got an array instead." },
        { Body("\"prediction\":{\"a\":" + new string('[', 80)), null, null, "We could not parse the JSON body of your request: it is wrong at line 1, byte 126." },
    };

    [Theory]
    [MemberData(nameof(Wrong))]
    public void What_is_wrong_is_said_in_the_words_of_OpenAI(string body, string? code, string? param, string message)
    {
        var error = Refused(body);
        Assert.Equal(message, error.Message);
        Assert.Equal(code, error.Code);
        Assert.Equal(param, error.Param);
        Assert.Equal(400, error.Status);
    }

    [Fact]
    public void Bytes_that_are_not_UTF_8_are_refused()
    {
        byte[] body = [.. "{\"messages\":[{\"role\":\"user\",\"content\":\""u8, 0xC3, 0x28, .. "\"}]}"u8];
        var error = Assert.Throws<InvalidRequestException>(() => ChatCompletionRequest.Parse(body, 10));
        Assert.Equal("We could not parse the JSON body of your request: it is not valid UTF-8.", error.Message);
    }

    [Fact]
    public void More_messages_than_allowed_are_counted_but_not_kept()
    {
        string messages = string.Join(',', Enumerable.Repeat("""{"role":"user","content":"x"}""", 12));
        var error = Assert.Throws<InvalidRequestException>(() => ChatCompletionRequest.Parse(Encoding.UTF8.GetBytes($"{{\"messages\":[{messages}]}}"), 10));
        Assert.Equal("Invalid 'messages': array too long. Expected an array with maximum length 10, but got an array with length 12 instead.", error.Message);
        Assert.Equal(("array_above_max_length", "messages"), (error.Code, error.Param));
    }

    [Fact]
    public void An_answer_can_be_sent_back_as_it_came()
    {
        var request = Parse("""
            {"messages":[{"role":"user","content":"a"},
             {"role":"assistant","content":"b","refusal":null,"annotations":[],"audio":null,"function_call":null,"tool_calls":[]},{"role":"user","content":"c"}]}
            """);
        Assert.Equal(["a", "b", "c"], request.Messages!.Select(message => message.Content));
    }

    [Fact]
    public void A_hostile_body_costs_no_more_memory_than_ten_times_itself()
    {
        byte[] body = Encoding.UTF8.GetBytes($"{{\"prediction\":{{\"a\":[{string.Join(',', Enumerable.Repeat("{\"a\":{}}", 100_000))}]}},\"n\":\"x\"}}");
        Assert.Throws<InvalidRequestException>(() => ChatCompletionRequest.Parse(body, 10));
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Throws<InvalidRequestException>(() => ChatCompletionRequest.Parse(body, 10));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 10L * body.Length);
    }

    private static string Body(string more) => $"{{{Messages},{more}}}";

    private static ChatCompletionRequest Parse(string body) => ChatCompletionRequest.Parse(Encoding.UTF8.GetBytes(body), mostMessages: 100);

    private static InvalidRequestException Refused(string body) => Assert.Throws<InvalidRequestException>(() => Parse(body));
}
