using System.ClientModel;
using System.ClientModel.Primitives;
using Anthropic;
using Microsoft.Extensions.AI;
using OpenAI;
using TrainServe.TestSupport;

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

    private sealed record Point(bool X, bool Y);

    [Theory]
    [InlineData("openai")]
    [InlineData("anthropic")]
    public async Task It_gets_answers_of_the_form_that_it_asks_for(string api)
    {
        using var client = Client(api);
        var response = await client.GetResponseAsync<Point>("hello", new ChatOptions { MaxOutputTokens = 80 });
        Assert.True(response.TryGetResult(out var point), response.Text);
        Assert.NotNull(point);
    }

    [Fact]
    public async Task It_runs_the_function_that_was_called_and_gives_its_result_back()
    {
        int asked = 0;
        using var client = new FunctionInvokingChatClient(Client("openai")) { MaximumIterationsPerRequest = 2 };
        var tool = AIFunctionFactory.Create((bool tomorrow) => $"rain for {++asked} days, {tomorrow}", "get_weather", "The weather.");
        var response = await client.GetResponseAsync("hello", new ChatOptions { MaxOutputTokens = 200, Tools = [tool], ToolMode = ChatToolMode.RequireAny, AllowMultipleToolCalls = false });
        Assert.True(asked >= 1);
        Assert.Contains(response.Messages.SelectMany(message => message.Contents).OfType<FunctionResultContent>(), result => $"{result.Result}".StartsWith("rain for 1 days", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("openai")]
    [InlineData("anthropic")]
    public async Task It_leaves_a_stream_and_the_slot_is_free(string api)
    {
        using var client = Client(api);
        await foreach (var _ in client.GetStreamingResponseAsync("hello", new ChatOptions { MaxOutputTokens = 8000 }))
        {
            break;
        }
        await Eventually.AssertAsync(async () => await tiny.Server.LoadOfAsync("tiny") == (0, 0));
    }

    [Theory]
    [InlineData("openai", "does not exist or is not served here")]
    [InlineData("anthropic", "not_found_error")]
    public async Task It_reports_our_errors(string api, string expected)
    {
        using var client = Client(api, "nobody");
        var error = await Assert.ThrowsAnyAsync<Exception>(() => client.GetResponseAsync("hello"));
        Assert.Contains(expected, error.ToString(), StringComparison.Ordinal);
        Assert.Contains("404", error.ToString() + (error as Anthropic.Exceptions.AnthropicApiException)?.StatusCode.ToString("D"), StringComparison.Ordinal);
    }

    private IChatClient Client(string api, string model = "tiny") => api == "openai"
        ? new OpenAI.Chat.ChatClient(model, new ApiKeyCredential("none"), new OpenAIClientOptions { Endpoint = new Uri(tiny.Server.Client.BaseAddress!, "v1"), RetryPolicy = new ClientRetryPolicy(0) }).AsIChatClient()
        : new AnthropicClient { ApiKey = "none", BaseUrl = tiny.Server.Client.BaseAddress!.ToString().TrimEnd('/'), MaxRetries = 0 }.AsIChatClient(model, 100);
}
