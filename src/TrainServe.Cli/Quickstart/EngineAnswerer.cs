using System.Globalization;
using TrainServe.Core.Chat;
using TrainServe.Core.Packaging;
using TrainServe.Core.Sampling;
using TrainServe.Core.Tokenization;
using TrainServe.Inference;

namespace TrainServe.Cli.Quickstart;

/// <summary>Greedy answers from the engine that the server uses, as many at once as it has slots.</summary>
internal sealed class EngineAnswerer : IAsyncDisposable
{
    private const int Slots = 16, MaxTokens = 48;
    private readonly GenerationEngine _engine;
    private readonly TextTokenizer _tokenizer;
    private readonly ChatTemplate _template;

    public EngineAnswerer(ModelPackage package, string precision)
    {
        _tokenizer = package.LoadTokenizer();
        _template = package.LoadChatTemplate(_tokenizer);
        _engine = GenerationEngine.Load(package, precision, new EngineOptions { Slots = Slots });
    }

    public async Task<IReadOnlyList<string>> AnswerAsync(IReadOnlyList<string> prompts, CancellationToken cancellationToken)
    {
        string[] answers = new string[prompts.Count];
        // No more at once than the engine has slots, so that none is refused.
        await Parallel.ForAsync(0, prompts.Count, new ParallelOptions { MaxDegreeOfParallelism = Slots, CancellationToken = cancellationToken },
            async (index, token) => answers[index] = await AnswerAsync(prompts[index], index, token));
        return answers;
    }

    public ValueTask DisposeAsync() => _engine.DisposeAsync();

    private async Task<string> AnswerAsync(string prompt, int index, CancellationToken cancellationToken)
    {
        var request = new GenerationRequest
        {
            Id = string.Create(CultureInfo.InvariantCulture, $"question-{index}"),
            PromptIds = _template.EncodePrompt([ChatMessage.User(prompt)]),
            MaxNewTokens = MaxTokens,
            Sampling = new SamplingParameters { Temperature = 0 },
            StopTokenIds = _template.StopTokenIds,
        };
        var ids = new List<int>();
        await foreach (var token in _engine.GenerateAsync(request, cancellationToken))
        {
            if (token.Finish != FinishReason.Stop)
            {
                ids.Add(token.Id);
            }
        }
        return _tokenizer.Decode(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(ids)).Trim();
    }
}
