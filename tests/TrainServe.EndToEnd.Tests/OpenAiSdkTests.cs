using System.ClientModel;
using OpenAI;
using OpenAI.Chat;
using TrainServe.TestSupport;

namespace TrainServe.EndToEnd.Tests;

/// <summary>OpenAI's own client for .NET takes the server for the real thing.</summary>
public sealed class OpenAiSdkTests(TinyServer tiny) : IClassFixture<TinyServer>
{
    private readonly ServerProcess _server = tiny.Server;

    [Fact]
    public async Task It_gets_a_whole_answer()
    {
        ChatCompletion answer = await Client("tiny").CompleteChatAsync(
            [new SystemChatMessage("Be brief."), new UserChatMessage("hello world")],
            new ChatCompletionOptions { MaxOutputTokenCount = 12, Temperature = 0.7f, IncludeLogProbabilities = true, TopLogProbabilityCount = 2 });
        Assert.StartsWith("chatcmpl-", answer.Id);
        Assert.Equal("tiny", answer.Model);
        Assert.Equal(ChatMessageRole.Assistant, answer.Role);
        Assert.NotNull(answer.Content[0].Text);
        Assert.Contains(answer.FinishReason, new[] { ChatFinishReason.Length, ChatFinishReason.Stop });
        Assert.InRange(answer.Usage.OutputTokenCount, 1, 12);
        Assert.Equal(answer.Usage.TotalTokenCount, answer.Usage.InputTokenCount + answer.Usage.OutputTokenCount);
        Assert.InRange(answer.ContentTokenLogProbabilities.Count, answer.Usage.OutputTokenCount - 1, answer.Usage.OutputTokenCount);
    }

    [Fact]
    public async Task It_reads_a_stream_that_says_the_same()
    {
        var client = Client("tiny");
#pragma warning disable OPENAI001 // the SDK marks seeds as a preview
        var options = new ChatCompletionOptions { MaxOutputTokenCount = 40, Seed = 5 };
#pragma warning restore OPENAI001
        ChatMessage[] messages = [new UserChatMessage("hello world")];
        ChatCompletion whole = await client.CompleteChatAsync(messages, options);
        string text = "";
        ChatFinishReason? finish = null;
        ChatTokenUsage? usage = null;
        await foreach (var update in client.CompleteChatStreamingAsync(messages, options))
        {
            text += string.Concat(update.ContentUpdate.Select(part => part.Text));
            finish = update.FinishReason ?? finish;
            usage = update.Usage ?? usage;
        }
        Assert.Equal(whole.Content[0].Text, text);
        Assert.Equal(whole.FinishReason, finish);
        Assert.Equal((whole.Usage.InputTokenCount, whole.Usage.OutputTokenCount), (usage!.InputTokenCount, usage.OutputTokenCount));
    }

    [Fact]
    public async Task It_reports_our_errors()
    {
        var unknown = await Assert.ThrowsAsync<ClientResultException>(async () => await Client("nobody").CompleteChatAsync(new UserChatMessage("hello")));
        Assert.Equal(404, unknown.Status);
        Assert.Contains("model_not_found", unknown.Message);
#pragma warning disable OPENAI001 // the SDK marks modalities as a preview
        var spoken = new ChatCompletionOptions { ResponseModalities = ChatResponseModalities.Text | ChatResponseModalities.Audio };
#pragma warning restore OPENAI001
        var refused = await Assert.ThrowsAsync<ClientResultException>(async () => await Client("tiny").CompleteChatAsync([new UserChatMessage("hello")], spoken));
        Assert.Equal(400, refused.Status);
        Assert.Contains("'modalities' is not supported", refused.Message);
    }

    [Fact]
    public async Task It_calls_tools_and_gives_their_results_back()
    {
        var tool = ChatTool.CreateFunctionTool("get_weather", "The weather.", BinaryData.FromString("""{"type":"object","properties":{"days":{"type":"integer","minimum":1,"maximum":7}},"required":["days"]}"""));
        var options = new ChatCompletionOptions { Tools = { tool }, ToolChoice = ChatToolChoice.CreateRequiredChoice(), MaxOutputTokenCount = 200, AllowParallelToolCalls = false };
        ChatCompletion answer = await Client("tiny").CompleteChatAsync([new UserChatMessage("hello")], options);
        Assert.Equal(ChatFinishReason.ToolCalls, answer.FinishReason);
        var call = Assert.Single(answer.ToolCalls);
        Assert.Equal("get_weather", call.FunctionName);
        using var arguments = System.Text.Json.JsonDocument.Parse(call.FunctionArguments);
        Assert.InRange(arguments.RootElement.GetProperty("days").GetInt32(), 1, 7);
        ChatCompletion next = await Client("tiny").CompleteChatAsync([new UserChatMessage("hello"), new AssistantChatMessage(answer), new ToolChatMessage(call.Id, "rain")], new ChatCompletionOptions { MaxOutputTokenCount = 5 });
        Assert.InRange(next.Usage.InputTokenCount, answer.Usage.InputTokenCount - 200, 2000);
    }

    [Fact]
    public async Task It_gets_answers_of_the_form_that_it_asks_for()
    {
        var options = new ChatCompletionOptions
        {
            ResponseFormat = ChatResponseFormat.CreateJsonSchemaFormat("point", BinaryData.FromString("""{"type":"object","properties":{"x":{"type":"integer"},"y":{"type":"boolean"}},"required":["x","y"],"additionalProperties":false}"""), jsonSchemaIsStrict: true),
            MaxOutputTokenCount = 60,
        };
        ChatCompletion answer = await Client("tiny").CompleteChatAsync([new UserChatMessage("hello")], options);
        using var point = System.Text.Json.JsonDocument.Parse(answer.Content[0].Text);
        Assert.Equal(["x", "y"], point.RootElement.EnumerateObject().Select(property => property.Name));
    }

    [Fact]
    public async Task It_embeds_texts()
    {
        var vectors = await new OpenAI.Embeddings.EmbeddingClient("tiny", new ApiKeyCredential("none"), Options()).GenerateEmbeddingsAsync(["hello", "world"]);
        Assert.Equal(2, vectors.Value.Count);
        Assert.All(vectors.Value, vector => Assert.Equal(1, vector.ToFloats().ToArray().Sum(value => value * value), 1e-4f));
    }

    [Fact]
    public async Task It_leaves_a_stream_and_the_slot_is_free()
    {
        await foreach (var _ in Client("tiny").CompleteChatStreamingAsync([new UserChatMessage("hello")], new ChatCompletionOptions { MaxOutputTokenCount = 8000, Temperature = 0 }))
        {
            break;
        }
        await Eventually.AssertAsync(async () => await _server.LoadOfAsync("tiny") == (0, 0));
    }

    [Fact]
    public async Task It_lists_the_models()
    {
        var models = new OpenAIClient(new ApiKeyCredential("none"), Options()).GetOpenAIModelClient();
        var list = await models.GetModelsAsync();
        Assert.Equal("tiny", Assert.Single(list.Value).Id);
        var one = await models.GetModelAsync("tiny");
        Assert.Equal("trainserve", one.Value.OwnedBy);
    }

    private ChatClient Client(string model) => new(model, new ApiKeyCredential("none"), Options());

    private OpenAIClientOptions Options() => new() { Endpoint = new Uri(_server.Client.BaseAddress!, "v1"), RetryPolicy = new System.ClientModel.Primitives.ClientRetryPolicy(0) };
}
