using System.ClientModel;
using System.Globalization;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using OpenAI;
using OpenAI.Chat;
using TrainServe.TestSupport;

namespace TrainServe.EndToEnd.Tests;

/// <summary>The way of feedback, over the programs that users run: chat, say what the answers are worth, export, train on it.</summary>
[Trait("Category", "Slow")]
public sealed class FeedbackTests : IDisposable
{
    private const int Questions = 12;
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task What_people_say_of_answers_becomes_the_next_model()
    {
        string model = _directory.PathOf("models/tiny"), store = "sqlite:" + _directory.PathOf("feedback/feedback.db"), exported = _directory.PathOf("exported");
        ModelDirectory.Tiny(model, contextLength: 512);
        await using (var server = await ServerProcess.StartAsync(_directory.PathOf("models"), "--threads", "1", "--feedback", store))
        {
            var client = new ChatClient("tiny", new ApiKeyCredential("none"), new OpenAIClientOptions { Endpoint = new Uri(server.Client.BaseAddress!, "v1") });
            for (int i = 0; i < Questions; i++)
            {
                await AskAsync(server, client, i);
            }
            server.Terminate();
            Assert.Equal(0, await server.WaitForExitAsync());
        }

        string report = await SucceedAsync("data", "feedback", "--store", store, "--output", exported, "--model", "tiny", "--since", "2020-01-01");
        Assert.Contains($"{2 * Questions} pieces of feedback on {2 * Questions} answers", report, StringComparison.Ordinal);
        Assert.Contains("preference pairs: 12 (6 by edit, 6 by rating)", report, StringComparison.Ordinal);
        Assert.Contains("conversations: 12 (6 by edit, 6 by rating)", report, StringComparison.Ordinal);
        string pairs = Path.Combine(exported, "preferences.jsonl"), conversations = Path.Combine(exported, "conversations.jsonl");
        byte[] first = await File.ReadAllBytesAsync(pairs);
        await SucceedAsync("data", "feedback", "--store", store, "--output", exported);
        Assert.Equal(first, await File.ReadAllBytesAsync(pairs));

        string recipe = _directory.WriteText("recipe.yaml", """
            data:
              sequence_length: 128
            training:
              epochs: 1
              batch_rows: 4
            optimizer:
              learning_rate: 1.0e-3
            """);
        foreach (var (verb, data) in ((string, string)[])[("dpo", pairs), ("reward", pairs), ("sft", conversations)])
        {
            string output = _directory.PathOf($"trained/{verb}");
            await SucceedAsync(verb, "--recipe", recipe, "--model", model, "--data", data, "--output", output);
            Assert.Contains("every hash holds", await SucceedAsync("inspect", output), StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Replicas_share_a_store_in_PostgreSQL()
    {
        await using var postgres = await PostgresServer.StartAsync();
        string store = "postgres:" + postgres.Connection;
        ModelDirectory.Tiny(_directory.PathOf("models/tiny"), contextLength: 512);
        // Both make the tables, at the same time.
        var replicas = await Task.WhenAll(Enumerable.Range(0, 2).Select(_ => ServerProcess.StartAsync(_directory.PathOf("models"), "--threads", "1", "--feedback", store)));
        await using (replicas[0])
        await using (replicas[1])
        {
            for (int i = 0; i < 4; i++)
            {
                var answer = await replicas[i % 2].AnswerAsync($$"""{"model":"tiny","messages":[{"role":"user","content":"Question {{i}}?"}],"max_tokens":8,"store":true}""");
                string id = answer.GetProperty("id").GetString()!;
                var other = replicas[(i + 1) % 2];
                // The one that answered writes a moment later.
                await Eventually.AssertAsync(async () => (await other.Client.PostAsJsonAsync("/v1/feedback", new { response_id = id, edit = "A better answer." })).StatusCode == HttpStatusCode.Created);
            }
        }
        Assert.Contains("preference pairs: 4 (4 by edit)", await SucceedAsync("data", "feedback", "--store", store, "--output", _directory.PathOf("exported")), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_store_that_cannot_be_used_ends_the_server_and_the_export_with_a_sentence()
    {
        string file = _directory.WriteText("broken.db", new string('x', 4096));
        var (code, output) = await ServerProcess.RunAsync("--urls", "http://127.0.0.1:0", "--models", _directory.FullName, "--feedback", "sqlite:" + file);
        Assert.Equal((1, $"error: sqlite:{file} cannot hold feedback: SQLite Error 26: 'file is not a database'."), (code, output.Trim().Split('\n')[^1]));
        foreach (var (args, exitCode, says) in ((string[], int, string)[])
        [
            (["--store", "sqlite:" + file], 1, "holds no feedback that can be read"),
            (["--store", "sqlite:" + _directory.PathOf("none.db")], 1, "does not exist"),
            (["--store", file], 2, "--store is wrong: it must be sqlite:PATH or postgres:CONNECTION STRING"),
            (["--store", "sqlite:" + file, "--since", "yesterday"], 2, "--since is 'yesterday'"),
        ])
        {
            var result = await ConsoleHost.RunAsync(["data", "feedback", "--output", _directory.PathOf("out"), .. args]);
            Assert.Equal(exitCode, result.ExitCode);
            Assert.Contains(says, result.Error, StringComparison.Ordinal);
        }
    }

    // Two answers to each question, one whole and one streamed. One is liked and the other not, or one is corrected.
    private static async Task AskAsync(ServerProcess server, ChatClient client, int number)
    {
        ChatMessage[] messages = [new UserChatMessage(string.Create(CultureInfo.InvariantCulture, $"Question {number}?"))];
        ChatCompletion whole = await client.CompleteChatAsync(messages, Options("good"));
        string streamed = "", text = "";
        await foreach (var update in client.CompleteChatStreamingAsync(messages, Options("bad")))
        {
            streamed = update.CompletionId;
            text += string.Concat(update.ContentUpdate.Select(part => part.Text));
        }
        Assert.Contains("\"good\"", whole.Content[0].Text, StringComparison.Ordinal);
        Assert.Contains("\"bad\"", text, StringComparison.Ordinal);
        if (number % 2 == 0)
        {
            await SayAsync(server, new { response_id = whole.Id, edit = "A better answer." });
            await SayAsync(server, new { response_id = streamed, comment = "Too short.", labels = new[] { "short" } });
            return;
        }
        await SayAsync(server, new { response_id = whole.Id, rating = "up" });
        await SayAsync(server, new { response_id = streamed, rating = "down", score = 1 });
    }

    // The form of the answer decides what random weights say.
    private static ChatCompletionOptions Options(string word)
    {
        var schema = BinaryData.FromString($$$"""{"type":"object","properties":{"word":{"enum":["{{{word}}}"]}},"required":["word"],"additionalProperties":false}""");
        var options = new ChatCompletionOptions { StoredOutputEnabled = true, MaxOutputTokenCount = 64, ResponseFormat = ChatResponseFormat.CreateJsonSchemaFormat("word", schema, jsonSchemaIsStrict: true) };
        options.Metadata["page"] = "test";
        return options;
    }

    private static async Task SayAsync(ServerProcess server, object feedback)
    {
        using var response = await server.Client.PostAsJsonAsync("/v1/feedback", feedback);
        Assert.True(response.StatusCode == HttpStatusCode.Created, await response.Content.ReadAsStringAsync());
        var said = await response.Content.ReadFromJsonAsync<JsonElement>();
        using var read = await server.Client.GetAsync($"/v1/feedback/{said.GetProperty("id").GetString()}");
        Assert.Equal(said.GetRawText(), await read.Content.ReadAsStringAsync());
    }

    private static async Task<string> SucceedAsync(params string[] args)
    {
        var result = await ConsoleHost.RunAsync(args);
        Assert.True(result.ExitCode == 0, result.Error + result.Output);
        return result.Output;
    }
}
