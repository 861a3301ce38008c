using TrainServe.Core.Packaging;
using TrainServe.Model;
using TrainServe.Model.Generation;

namespace TrainServe.Cli.Generation;

/// <summary>Generates with the network that training uses.</summary>
internal static class TorchContinuation
{
    public static Continuation Run(ModelPackage package, ContinuationRequest request, CancellationToken cancellationToken)
    {
        TorchRuntime.Initialize();
        using var model = Transformer.Load(package);
        var sequence = new TextGenerator(model).Generate(request.PromptIds, request.MaxTokens, request.Sampling, [.. package.Config.EosTokenId], cancellationToken);
        int[] content = sequence.ContentIds;
        return new Continuation(content, sequence.LogProbs[..content.Length]);
    }
}
