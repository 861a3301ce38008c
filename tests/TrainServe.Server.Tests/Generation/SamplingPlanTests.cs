using TrainServe.Server.Errors;
using TrainServe.Core;
using TrainServe.Core.Packaging;
using TrainServe.Server.Generation;
using TrainServe.Server.Requests;
using TrainServe.TestSupport;

namespace TrainServe.Server.Tests.Generation;

public sealed class SamplingPlanTests
{
    [Fact]
    public void More_alternatives_than_the_vocabulary_has_tokens_are_refused()
    {
        using var directory = new TemporaryDirectory();
        var package = TinyPackages.Write(directory.PathOf("tiny"));
        (package.Config with { VocabSize = 12, BosTokenId = 0, EosTokenId = [0], PadTokenId = null }).Write(Path.Combine(package.Directory, ModelPackage.ConfigFile));
        var model = TestServer.MakeModel(package.Directory, ScriptedEngine.Saying());
        var request = new GenerationFields { Logprobs = true, TopLogprobs = 13 };
        var error = Assert.Throws<InvalidRequestException>(() => SamplingPlan.Make(model, request, [[1, 2]], "messages", "id"));
        Assert.Equal((400, "top_logprobs", "integer_above_max_value"), (error.Status, error.Param, error.Code));
        Assert.Single(SamplingPlan.Make(model, request with { TopLogprobs = 12 }, [[1, 2]], "messages", "id"));
    }
}
