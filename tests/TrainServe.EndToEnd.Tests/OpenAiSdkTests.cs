using System.ClientModel;
using OpenAI;
using OpenAI.Chat;

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
        var tools = new ChatCompletionOptions { Tools = { ChatTool.CreateFunctionTool("f") } };
        var refused = await Assert.ThrowsAsync<ClientResultException>(async () => await Client("tiny").CompleteChatAsync([new UserChatMessage("hello")], tools));
        Assert.Equal(400, refused.Status);
        Assert.Contains("'tools' is not supported", refused.Message);
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
