using System.Text.Json;
using Xunit;

namespace TrainServe.TestSupport;

/// <summary>A stream of server-sent events as a client reads it.</summary>
/// <param name="Data">The JSON of the data lines, without <c>[DONE]</c>.</param>
/// <param name="Comments">Lines that begin with a colon.</param>
/// <param name="Done">Whether <c>[DONE]</c> was the last event.</param>
public sealed record ServerSentEvents(IReadOnlyList<JsonElement> Data, IReadOnlyList<string> Comments, bool Done)
{
    public static ServerSentEvents Parse(string text)
    {
        var data = new List<JsonElement>();
        var comments = new List<string>();
        bool done = false;
        foreach (string item in text.Split("\n\n", StringSplitOptions.RemoveEmptyEntries))
        {
            Assert.False(done, "Something follows [DONE].");
            if (item.StartsWith(':'))
            {
                comments.Add(item);
                continue;
            }
            if (item.StartsWith("event: ", StringComparison.Ordinal))
            {
                string[] lines = item.Split('\n');
                Assert.Equal(2, lines.Length);
                Assert.StartsWith("data: ", lines[1]);
                data.Add(JsonDocument.Parse(lines[1][6..]).RootElement);
                Assert.Equal(lines[0]["event: ".Length..], data[^1].GetProperty("type").GetString());
                continue;
            }
            Assert.DoesNotContain('\n', item);
            Assert.StartsWith("data: ", item);
            if (item == "data: [DONE]")
            {
                done = true;
                continue;
            }
            data.Add(JsonDocument.Parse(item[6..]).RootElement);
        }
        return new ServerSentEvents(data, comments, done);
    }

    /// <summary>The content of a choice, joined.</summary>
    public string Content(int choice = 0) => string.Concat(Choices(choice).Select(item => item.GetProperty("delta").TryGetProperty("content", out var content) ? content.GetString() : ""));

    public IEnumerable<JsonElement> Choices(int choice = 0) =>
        Data.Where(chunk => chunk.TryGetProperty("choices", out _)).SelectMany(chunk => chunk.GetProperty("choices").EnumerateArray()).Where(item => item.GetProperty("index").GetInt32() == choice);

    public string? FinishReason(int choice = 0) => Choices(choice).Last().GetProperty("finish_reason").GetString();
}
