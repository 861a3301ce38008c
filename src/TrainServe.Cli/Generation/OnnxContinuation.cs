using TrainServe.Core.Packaging;
using TrainServe.Inference;
using TrainServe.Inference.Execution;

namespace TrainServe.Cli.Generation;

/// <summary>Generates with the engine that the server uses.</summary>
internal static class OnnxContinuation
{
    public static async Task<Continuation> RunAsync(ModelPackage package, ExecutionChoice choice, ContinuationRequest request, CancellationToken cancellationToken)
    {
        await using var engine = GenerationEngine.Load(package, choice.Precision, new EngineOptions { Slots = 1, Device = choice.Device });
        var ids = new List<int>();
        var logProbs = new List<float>();
        var generation = new GenerationRequest { Id = "generate", PromptIds = request.PromptIds, MaxNewTokens = request.MaxTokens, Sampling = request.Sampling };
        await foreach (var token in engine.GenerateAsync(generation, cancellationToken))
        {
            if (token.Finish != FinishReason.Stop)
            {
                ids.Add(token.Id);
                logProbs.Add(token.LogProb);
            }
        }
        return new Continuation(ids, logProbs);
    }
}
