using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using TrainServe.Core.Chat;
using TrainServe.Core.Packaging;
using TrainServe.Inference.Scoring;
using TrainServe.TestSupport;

namespace TrainServe.EndToEnd.Tests;

public sealed class RewardModelTests : IDisposable
{
    private readonly TemporaryDirectory _models = new();

    public void Dispose() => _models.Dispose();

    [Fact]
    public async Task A_reward_model_is_served_beside_others_and_gives_the_scores_that_the_trainer_trusts()
    {
        ModelDirectory.Tiny(_models.PathOf("tiny"));
        var judge = ModelDirectory.TinyReward(_models.PathOf("judge"));
        string[] answers = ["yes", "no", "I do not know."];
        double[] expected = Expected(judge, "Is it warm?", answers);
        await using var server = await ServerProcess.StartAsync(_models.FullName, "--threads", "1", "--slots", "2");
        var scores = await ScoreAsync(server, new { model = "judge", text_1 = "Is it warm?", text_2 = answers });
        Assert.All(expected.Zip(scores), pair => Assert.Equal(pair.First, pair.Second, 1e-4));
        Assert.Equal(3, scores.Distinct().Count());

        var models = JsonDocument.Parse(await server.Client.GetStringAsync("/v1/models")).RootElement.GetProperty("data").EnumerateArray()
            .ToDictionary(model => model.GetProperty("id").GetString()!, model => model.GetProperty("metadata").GetProperty("task").GetString());
        Assert.Equal(("score", "generate"), (models["judge"], models["tiny"]));
        foreach (string route in (string[])["/v1/chat/completions", "/v1/messages"])
        {
            using var written = await server.Client.PostAsJsonAsync(route, new { model = "judge", max_tokens = 3, messages = new[] { new { role = "user", content = "hello" } } });
            Assert.Equal(HttpStatusCode.BadRequest, written.StatusCode);
            Assert.Contains("'judge' is a reward model", await written.Content.ReadAsStringAsync());
        }
        using var unjudged = await server.Client.PostAsJsonAsync("/score", new { model = "tiny", text_1 = "a", text_2 = "b" });
        await Envelope.AssertAsync(unjudged, "invalid_request_error", "model", "unsupported_model");
    }

    private static async Task<double[]> ScoreAsync(ServerProcess server, object request)
    {
        using var response = await server.Client.PostAsJsonAsync("/score", request);
        var answer = await response.Content.ReadFromJsonAsync<JsonElement>();
        Assert.True(response.StatusCode == HttpStatusCode.OK, answer.GetRawText());
        Assert.Equal(answer.GetProperty("system_fingerprint").GetString(), response.Headers.GetValues("x-model-version").Single());
        return [.. answer.GetProperty("data").EnumerateArray().Select(item => item.GetProperty("score").GetDouble())];
    }

    private static double[] Expected(ModelPackage judge, string question, IEnumerable<string> answers)
    {
        var template = judge.LoadChatTemplate(judge.LoadTokenizer());
        using var scorer = new OnnxRewardScorer(judge, "fp32");
        return [.. scorer.Score([.. answers.Select(answer => template.Encode([ChatMessage.User(question), ChatMessage.Assistant(answer)]).Ids)])];
    }
}
