using System.ClientModel;
using System.ClientModel.Primitives;
using Anthropic;
using Microsoft.Extensions.AI;
using OpenAI;

namespace TrainServe.EndToEnd.Tests;

/// <summary>.NET's own abstraction of chats, over OpenAI's client and over Anthropic's.</summary>
public sealed class ChatClientTests(TinyServer tiny) : IClassFixture<TinyServer>
{
    // Anthropic's client has no temperature to send, nor anything else that would make two answers equal.
    [Theory]
    [InlineData("openai", true)]
    [InlineData("anthropic", false)]
    public async Task It_gets_answers_whole_and_in_a_stream(string api, bool sendsTemperature)
    {
        using var client = Client(api);
        var options = new ChatOptions { MaxOutputTokens = 20, Temperature = 0 };
        var whole = await client.GetResponseAsync("hello world", options);
        string text = "";
        await foreach (var update in client.GetStreamingResponseAsync("hello world", options))
        {
            text += update.Text;
        }
        Assert.NotEmpty(text);
        Assert.True(!sendsTemperature || whole.Text == text, $"{whole.Text} against {text}");
        Assert.InRange(whole.Usage!.OutputTokenCount!.Value, 1, 20);
    }

    [Theory]
    [InlineData("openai")]
    [InlineData("anthropic")]
    public async Task It_calls_a_tool(string api)
    {
        using var client = Client(api);
        var tool = AIFunctionFactory.Create((int days) => $"rain for {days} days", "get_weather", "The weather.");
        var response = await client.GetResponseAsync("hello", new ChatOptions { MaxOutputTokens = 200, Tools = [tool], ToolMode = ChatToolMode.RequireAny, AllowMultipleToolCalls = false });
        var call = Assert.Single(response.Messages.SelectMany(message => message.Contents).OfType<FunctionCallContent>());
        Assert.Equal("get_weather", call.Name);
        Assert.Equal(["days"], call.Arguments!.Keys);
    }

    private IChatClient Client(string api) => api == "openai"
        ? new OpenAI.Chat.ChatClient("tiny", new ApiKeyCredential("none"), new OpenAIClientOptions { Endpoint = new Uri(tiny.Server.Client.BaseAddress!, "v1"), RetryPolicy = new ClientRetryPolicy(0) }).AsIChatClient()
        : new AnthropicClient { ApiKey = "none", BaseUrl = tiny.Server.Client.BaseAddress!.ToString().TrimEnd('/'), MaxRetries = 0 }.AsIChatClient("tiny", 100);
}
