using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using TrainServe.Core.Random;
using TrainServe.Server.Requests;
using TrainServe.TestSupport;

namespace TrainServe.Server.Tests.Http;

public sealed class HttpFuzzTests
{
    private static readonly string[] Values =
        ["null", "true", "0", "1", "-1", "0.5", "130", "1e999", "99999999999999999999", "\"\"", "\"x\"", "\"none\"", "\"\\ud800\"", "[]", "[\"a\"]", "[1]", "{}", "{\"1\":1}", "{\"type\":\"text\"}", "[{\"role\":\"user\",\"content\":\"a\"}]", "[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]", "{\"type\":\"json_schema\",\"schema\":{}}"];

    // The operator's routes need a key.
    private static readonly ParameterTable[] Tables = [.. TrainServe.Server.Documentation.ParameterPage.Tables.Where(table => !table.Route.Contains("/admin/", StringComparison.Ordinal))];

    private static readonly (string Name, string Value)[] Usual =
    [
        ("model", "\"tiny\""), ("messages", "[{\"role\":\"user\",\"content\":\"hello\"}]"), ("prompt", "\"hello\""), ("input", "\"hello\""), ("tokens", "[1,2]"), ("max_tokens", "5"),
    ];

    [Fact]
    public async Task Any_parameter_with_any_value_is_answered_or_refused_with_the_envelope()
    {
        var engine = ScriptedEngine.Saying('h', 'i');
        engine.Embed = _ => [1, 2];
        using var directory = new TemporaryDirectory();
        await using var server = await TestServer.StartAsync(engine, "--feedback", "sqlite:" + directory.PathOf("feedback.db"));
        using var kept = await server.ChatAsync("\"store\":true,\"n\":2");
        string id = JsonDocument.Parse(await kept.Content.ReadAsStringAsync()).RootElement.GetProperty("id").GetRawText();
        var random = new PhiloxRandom(seed: 1);
        int answered = 0, refused = 0;
        for (int i = 0; i < 3000; i++)
        {
            var table = Tables[random.NextInt32(Tables.Length)];
            byte[] body = Body(random, table, id);
            using var content = new ByteArrayContent(body);
            content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
            using var response = await server.Client.PostAsync(table.Route["POST ".Length..], content);
            string text = await response.Content.ReadAsStringAsync();
            switch (response.StatusCode)
            {
                case HttpStatusCode.OK or HttpStatusCode.Created:
                    answered++;
                    break;
                case HttpStatusCode.BadRequest or HttpStatusCode.NotFound:
                    refused++;
                    Assert.Matches("\"type\":\"(invalid_request_error|not_found_error)\"", text);
                    break;
                default:
                    Assert.Fail($"{(int)response.StatusCode} for {table.Route} {Encoding.UTF8.GetString(body)}");
                    break;
            }
        }
        Assert.True(answered > 100 && refused > 100, $"{answered} answered, {refused} refused");
    }

    // Mostly well-formed, sometimes with a byte changed.
    private static byte[] Body(PhiloxRandom random, ParameterTable table, string storedAnswer)
    {
        var parameters = table.All;
        var fields = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var (name, value) in Usual.Append((Name: "response_id", Value: storedAnswer)).Where(field => table.Find(field.Name) is { Required: true }))
        {
            fields[name] = value;
        }
        for (int count = random.NextInt32(3); count > 0; count--)
        {
            fields[parameters[random.NextInt32(parameters.Count)].Name] = Values[random.NextInt32(Values.Length)];
        }
        byte[] body = Encoding.UTF8.GetBytes($"{{{string.Join(',', fields.Select(field => $"\"{field.Key}\":{field.Value}"))}}}");
        if (random.NextInt32(4) == 0)
        {
            body[random.NextInt32(body.Length)] = (byte)random.NextInt32(256);
        }
        return body;
    }
}
