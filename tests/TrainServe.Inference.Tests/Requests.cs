using TrainServe.Core.Sampling;

namespace TrainServe.Inference.Tests;

internal static class Requests
{
    public static GenerationRequest Greedy(int[] prompt, int maxNewTokens, params int[] stopIds) => new()
    {
        Id = "test",
        PromptIds = prompt,
        MaxNewTokens = maxNewTokens,
        Sampling = SamplingParameters.Greedy,
        StopTokenIds = stopIds,
    };

    public static async Task<List<GeneratedToken>> CollectAsync(this GenerationEngine engine, GenerationRequest request, CancellationToken cancellationToken = default)
    {
        var tokens = new List<GeneratedToken>();
        await foreach (var token in engine.GenerateAsync(request, cancellationToken))
        {
            tokens.Add(token);
        }
        return tokens;
    }

    public static async Task<int[]> IdsAsync(this GenerationEngine engine, GenerationRequest request) => [.. (await engine.CollectAsync(request)).Select(token => token.Id)];
}
