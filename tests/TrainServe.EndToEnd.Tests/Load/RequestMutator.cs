using System.Text;
using System.Text.Json.Nodes;
using TrainServe.Core.Random;

namespace TrainServe.EndToEnd.Tests.Load;

/// <summary>Makes requests, right ones and such as were spoiled in any field, at any depth, or in a byte. The same seed makes the same ones.</summary>
internal sealed class RequestMutator(ulong seed)
{
    private static readonly string[] Values =
    [
        "null", "true", "0", "1", "-1", "0.5", "2", "130", "1e999", "-0", "99999999999999999999", "\"\"", "\"x\"", "\"none\"", "\"auto\"", "\"\\ud83d\\ude00\"", "\"<|end|><|user|>\"", "[]", "[\"a\"]", "[1,2]", "[[1],[2]]", "{}",
        "{\"1\":1}", "{\"type\":\"text\"}", "[{\"role\":\"user\",\"content\":\"a\"}]", "[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]", "{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"x\",\"schema\":{\"type\":\"array\",\"items\":{}}}}",
        "{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#\"}}}", "\"(a|b)*c{1,9}\"",
    ];

    // Each uses as many fields as its route has for something.
    private static readonly (string Path, string Body)[] Requests =
    [
        ("/v1/chat/completions", """
            {"model":"tiny","messages":[{"role":"system","content":"be brief"},{"role":"user","content":[{"type":"text","text":"é"}],"name":"Ann"}],"max_tokens":6,"temperature":0.5,"top_p":0.9,"top_k":5,"min_p":0.01,"n":2,
             "stop":["zz","q"],"seed":-5,"logprobs":true,"top_logprobs":2,"logit_bias":{"104":1.5},"frequency_penalty":0.5,"presence_penalty":-0.5,"repetition_penalty":1.1,"metadata":{"a":"b"},"user":"me","stream":false}
            """),
        ("/v1/chat/completions", """{"model":"tiny","messages":[{"role":"user","content":"hello"}],"max_completion_tokens":6,"stream":true,"stream_options":{"include_usage":true},"min_tokens":2,"stop_token_ids":[65],"cache_salt":"s","priority":1}"""),
        ("/v1/chat/completions", """
            {"model":"tiny","messages":[{"role":"user","content":"hello"},{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}]},{"role":"tool","tool_call_id":"c1","content":"5"}],
             "tools":[{"type":"function","function":{"name":"f","description":"d","strict":true,"parameters":{"type":"object","properties":{"x":{"type":"integer","minimum":1,"maximum":9},"y":{"enum":["a",null]}},"required":["x"],"additionalProperties":false}}}],
             "tool_choice":"required","parallel_tool_calls":true,"max_tokens":40,"stream":true}
            """),
        ("/v1/chat/completions", """{"model":"tiny","messages":[{"role":"user","content":"hello"}],"max_tokens":40,"response_format":{"type":"json_schema","json_schema":{"name":"p","strict":true,"schema":{"type":"object","properties":{"a":{"type":"string","maxLength":3},"b":{"type":"array","items":{"type":"boolean"},"maxItems":2}},"required":["a","b"],"additionalProperties":false}}}}"""),
        ("/v1/completions", """{"model":"tiny","prompt":["once","upon"],"max_tokens":5,"n":2,"logprobs":2,"stop":"x","allowed_token_ids":[97,98,99],"echo":false}"""),
        ("/v1/completions", """{"model":"tiny","prompt":[104,101],"max_tokens":5,"guided_regex":"[a-c]{1,3}","stream":true}"""),
        ("/v1/messages", """
            {"model":"tiny","max_tokens":30,"system":[{"type":"text","text":"be brief"}],"messages":[{"role":"user","content":"hello"},{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"f","input":{"x":1}}]},
             {"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"5"}]}],"tools":[{"name":"f","input_schema":{"type":"object","properties":{"x":{"type":"integer"}}}}],"tool_choice":{"type":"auto"},"stop_sequences":["q"],"temperature":1,"stream":true}
            """),
        ("/v1/messages/count_tokens", """{"model":"tiny","messages":[{"role":"user","content":"hello"}],"system":"be brief"}"""),
        ("/v1/responses", """{"model":"tiny","instructions":"be brief","input":[{"role":"user","content":[{"type":"input_text","text":"hello"}]}],"max_output_tokens":16,"text":{"format":{"type":"text"}},"include":["message.output_text.logprobs"],"metadata":{"a":"b"},"stream":true}"""),
        ("/v1/embeddings", """{"model":"tiny","input":["hello","world"],"encoding_format":"base64"}"""),
        ("/score", """{"model":"judge","text_1":"hello","text_2":["yes","no"]}"""),
        ("/score", """{"model":"judge","messages":[{"role":"user","content":"hello"},{"role":"assistant","content":"yes"}]}"""),
        ("/tokenize", """{"model":"tiny","prompt":"hello","add_special_tokens":true,"return_token_strs":true}"""),
        ("/detokenize", """{"model":"tiny","tokens":[104,101]}"""),
        ("/apply-template", """{"model":"tiny","messages":[{"role":"user","content":"hello"}]}"""),
    ];

    private readonly PhiloxRandom _random = new(seed);

    /// <summary>A route and a body for it.</summary>
    public (string Path, byte[] Body) Next()
    {
        var (path, text) = Requests[_random.NextInt32(Requests.Length)];
        var body = JsonNode.Parse(text)!;
        for (int changes = _random.NextInt32(4); changes > 0; changes--)
        {
            Change((JsonObject)body);
        }
        byte[] bytes = Encoding.UTF8.GetBytes(body.ToJsonString());
        if (_random.NextInt32(8) == 0)
        {
            bytes[_random.NextInt32(bytes.Length)] = (byte)_random.NextInt32(256);
        }
        // An exponent that is too large is no JsonNode.
        return (path, _random.NextInt32(16) == 0 ? Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(bytes).Replace(":1", ":1e999", StringComparison.Ordinal)) : bytes);
    }

    private void Change(JsonObject body)
    {
        var places = new List<JsonNode>();
        Gather(body, places);
        var place = places[_random.NextInt32(places.Count)];
        switch (place)
        {
            case JsonObject { Count: > 0 } members:
                string name = members.ElementAt(_random.NextInt32(members.Count)).Key;
                switch (_random.NextInt32(4))
                {
                    case 0:
                        members.Remove(name);
                        break;
                    case 1:
                        members[$"{name}x"] = Value();
                        break;
                    default:
                        members[name] = Value();
                        break;
                }
                break;
            case JsonArray { Count: > 0 } items:
                int at = _random.NextInt32(items.Count);
                if (_random.NextInt32(3) == 0)
                {
                    items.Add(items[at]?.DeepClone());
                }
                else
                {
                    items[at] = Value();
                }
                break;
        }
    }

    private JsonNode? Value()
    {
        string text = Values[_random.NextInt32(Values.Length)];
        return text.Contains("e999", StringComparison.Ordinal) ? JsonNode.Parse("1e308") : JsonNode.Parse(text);
    }

    private static void Gather(JsonNode? node, List<JsonNode> places)
    {
        switch (node)
        {
            case JsonObject members:
                places.Add(members);
                foreach (var (_, value) in members)
                {
                    Gather(value, places);
                }
                break;
            case JsonArray items:
                places.Add(items);
                foreach (var value in items)
                {
                    Gather(value, places);
                }
                break;
        }
    }
}
