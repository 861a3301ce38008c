using TrainServe.TestSupport;

namespace TrainServe.EndToEnd.Tests;

/// <summary>A smaller model guesses ahead for a larger one.</summary>
public sealed class DraftModelTests : IDisposable
{
    private const string Question = """{"model":"tiny","messages":[{"role":"user","content":"hello"}],"temperature":0,"ignore_eos":true,"max_tokens":200}""";
    private readonly TemporaryDirectory _models = new();

    public void Dispose() => _models.Dispose();

    [Fact]
    public async Task A_model_that_guesses_ahead_changes_no_answer_and_its_right_guesses_are_counted()
    {
        ModelDirectory.Tiny(_models.PathOf("tiny"));
        ModelDirectory.Tiny(_models.PathOf("small"));
        string expected;
        await using (var plain = await ServerProcess.StartAsync(_models.FullName, "--threads", "1"))
        {
            expected = Content(await plain.AnswerAsync(Question));
            Assert.Contains("vllm:spec_decode_num_draft_tokens_total{model_name=\"tiny\"} 0\n", await plain.Client.GetStringAsync("/metrics"));
        }
        await using var server = await ServerProcess.StartAsync(_models.FullName, "--threads", "1", "--draft-models", "tiny=small");
        Assert.Equal(expected, Content(await server.AnswerAsync(Question)));
        string metrics = await server.Client.GetStringAsync("/metrics");
        Assert.Contains("# TYPE vllm:spec_decode_num_accepted_tokens_total counter\n", metrics);
        Assert.Matches("vllm:spec_decode_num_accepted_tokens_total\\{model_name=\"tiny\"\\} [1-9]", metrics);
    }

    [Theory]
    [InlineData("tiny=nobody", "nobody")]
    [InlineData("tiny=other", "other cannot guess for tiny: their tokenizers differ.")]
    public async Task A_model_whose_helper_cannot_help_is_not_served_and_the_log_says_why(string pair, string reason)
    {
        ModelDirectory.Tiny(_models.PathOf("tiny"));
        ModelDirectory.Tiny(_models.PathOf("sound"));
        if (pair.EndsWith("other", StringComparison.Ordinal))
        {
            ModelDirectory.Stories(_models.PathOf("other"));
        }
        await using var server = await ServerProcess.StartAsync(_models.FullName, "--threads", "1", "--draft-models", pair);
        await Eventually.AssertAsync(() => Task.FromResult(server.Output.Contains("Not serving tiny", StringComparison.Ordinal) && server.Output.Contains(reason, StringComparison.Ordinal)));
        Assert.DoesNotContain("\"tiny\"", await server.Client.GetStringAsync("/v1/models"));
    }

    private static string Content(System.Text.Json.JsonElement answer) => answer.GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString()!;
}
