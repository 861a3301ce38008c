using System.IO.Compression;
using System.Text.Json;
using TrainServe.TestSupport;

namespace TrainServe.EndToEnd.Tests;

/// <summary>A model that others trained, with what their own program makes of it.</summary>
public sealed class StoriesTests : IDisposable
{
    private readonly TemporaryDirectory _models = new();

    public void Dispose() => _models.Dispose();

    [Fact]
    public async Task Over_HTTP_the_stories_go_on_as_in_the_original_program()
    {
        using var golden = JsonDocument.Parse(new GZipStream(File.OpenRead(SharedData.File("golden/stories260K.greedy.json.gz")), CompressionMode.Decompress));
        var model = ModelDirectory.Stories(_models.PathOf("stories260K"));
        var tokenizer = model.LoadTokenizer();
        await using var server = await ServerProcess.StartAsync(_models.FullName);
        foreach (var story in golden.RootElement.EnumerateArray().Where(story => story.GetProperty("prompt").GetString()!.Length > 0).Take(3))
        {
            int[] ids = [.. story.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32())];
            int[] answer = ids[story.GetProperty("prompt_ids").GetArrayLength()..];
            var body = JsonSerializer.Serialize(new
            {
                model = "stories260K",
                messages = new[] { new { role = "user", content = story.GetProperty("prompt").GetString() } },
                temperature = 0,
                max_tokens = answer.Length,
            });
            var result = await server.AnswerAsync(body);
            Assert.Equal(tokenizer.Decode(answer, atStart: false), result.GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString());
        }
    }
}
