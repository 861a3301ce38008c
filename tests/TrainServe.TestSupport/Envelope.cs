using System.Text.Json;
using Xunit;

namespace TrainServe.TestSupport;

public static class Envelope
{
    /// <summary>The answer is an error with all four fields, as JSON, with a request id.</summary>
    public static async Task<string> AssertAsync(HttpResponseMessage response, string type, string? param, string? code)
    {
        Assert.Equal("application/json", response.Content.Headers.ContentType?.MediaType);
        Assert.NotEmpty(response.Headers.GetValues("x-request-id").Single());
        var error = JsonDocument.Parse(await response.Content.ReadAsStringAsync()).RootElement.GetProperty("error");
        Assert.Equal(["message", "type", "param", "code"], error.EnumerateObject().Select(field => field.Name));
        Assert.Equal((type, param, code), (error.GetProperty("type").GetString(), error.GetProperty("param").GetString(), error.GetProperty("code").GetString()));
        return error.GetProperty("message").GetString()!;
    }
}
