using TrainServe.Core.Chat;
using TrainServe.Core.Packaging;
using TrainServe.Core.Sampling;
using TrainServe.Core.Tokenization;
using TrainServe.Inference.Constraints;
using TrainServe.Inference.Execution;
using TrainServe.Server.Contracts;
using TrainServe.Server.Limits;

namespace TrainServe.Server.Catalogue;

/// <summary>A model that is loaded: what it is, how text becomes its tokens, and the engine that runs it.</summary>
internal sealed class ServedModel : IAsyncDisposable
{
    // The highest bit says that no further lease is given.
    private const int Retired = int.MinValue;
    private readonly TaskCompletionSource _idle = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _inFlight;
    private TokenTrie? _trie;

    public required ModelPackage Package { get; init; }
    public required string Precision { get; init; }

    /// <summary>What computes.</summary>
    public InferenceDevice Device { get; init; } = InferenceDevice.Cpu;

    /// <summary>Why it is not a GPU, where one might have been expected.</summary>
    public string? DeviceNote { get; init; }

    public required TextTokenizer Tokenizer { get; init; }
    public required ChatTemplate Template { get; init; }
    public required ITextEngine Engine { get; init; }
    /// <summary>How to sample where a request does not say; checked when the model was loaded.</summary>
    public required SamplingParameters DefaultSampling { get; init; }

    /// <summary>Tokens of prompt and answer together.</summary>
    public required int ContextLength { get; init; }

    /// <summary>Tokens that end an answer.</summary>
    public required IReadOnlyList<int> StopTokenIds { get; init; }

    /// <summary>SHA-256 of the manifest, which names every byte of the model.</summary>
    public required string LineageId { get; init; }

    /// <summary>How fast answers come from it.</summary>
    public required AnswerRate Rate { get; init; }

    public string Id => Package.Name;

    /// <summary>It judges texts and writes none.</summary>
    public bool IsRewardModel => Package.Config.IsRewardModel;

    /// <summary>Names this version of the model in every answer that it makes.</summary>
    public string Fingerprint => field ??= $"fp_{LineageId[..12]}_{Precision}";

    /// <summary>UTF-8 bytes of the longest token: a text of more than this many times the context cannot fit.</summary>
    public int LongestTokenBytes => field > 0 ? field : field = Math.Max(1, Enumerable.Range(0, Tokenizer.VocabSize).Max(id => Tokenizer.TokenBytes(id).Length));

    /// <summary>The vocabulary for constraints; made when the first is asked for.</summary>
    public TokenTrie Trie => LazyInitializer.EnsureInitialized(ref _trie, () => new TokenTrie(Tokenizer));

    /// <summary>The control token that begins the call of a tool; null where the chat template has none.</summary>
    public int? ToolCallId => Template.Name == "trainserve" ? Tokenizer.Special.TryGetId(SpecialTokens.ToolCall) : null;

    public ModelObject Describe() => new(Id, Package.Manifest!.Created.ToUnixTimeSeconds(), new ModelMetadata(
        ContextLength, Package.Config.ParameterCount, Package.Config.VocabSize, Precision, IsRewardModel ? "score" : "generate", Fingerprint, LineageId, Package.Manifest.Lineage));

    /// <summary>The engine decides again; this spares a hopeless request the work of tokenizing.</summary>
    /// <exception cref="ServerUnavailableException">Too much waits already.</exception>
    public void RequireRoom(ServerOptions options)
    {
        var status = Engine.Status;
        if (status.Waiting >= options.MaxQueuedRequests || status.WaitingPromptTokens >= options.MaxQueuedPromptTokens)
        {
            throw Busy(status.Waiting);
        }
    }

    /// <summary>The refusal of a full queue, with the time in which half of it will be done.</summary>
    public ServerUnavailableException Busy(int waiting) => new("The server is busy: its queue is full. Please try again.", Rate.RetryAfter(waiting), "server_overloaded");

    /// <exception cref="InvalidRequestException">It is a reward model.</exception>
    public void RequireWriter()
    {
        if (IsRewardModel)
        {
            throw new InvalidRequestException($"'{Id}' is a reward model, which scores texts (POST /score) and writes none.", "model", "unsupported_model");
        }
    }

    /// <exception cref="InvalidRequestException">An id is not of this model's vocabulary.</exception>
    public void RequireVocabulary(IEnumerable<int> ids, string param)
    {
        int size = Package.Config.VocabSize;
        foreach (int id in ids)
        {
            if (id >= size)
            {
                throw new InvalidRequestException($"Invalid '{param}': token id {id} is not in this model's vocabulary of {size} tokens.", param, "invalid_value");
            }
        }
    }

    /// <summary>Answers that are being made.</summary>
    public int InFlight => Volatile.Read(ref _inFlight) & ~Retired;

    /// <summary>Keeps this version loaded until the lease is given back; null when it is already on its way out.</summary>
    public ModelLease? TryLease()
    {
        while (true)
        {
            int seen = Volatile.Read(ref _inFlight);
            if ((seen & Retired) != 0)
            {
                return null;
            }
            if (Interlocked.CompareExchange(ref _inFlight, seen + 1, seen) == seen)
            {
                return new ModelLease(this, GiveBack);
            }
        }
    }

    /// <summary>Takes no more leases, and unloads the model when the last one has come back.</summary>
    public async Task RetireAsync()
    {
        if ((Interlocked.Or(ref _inFlight, Retired) & ~Retired) == 0)
        {
            _idle.TrySetResult();
        }
        await _idle.Task;
        await DisposeAsync();
    }

    public ValueTask DisposeAsync() => Engine.DisposeAsync();

    private void GiveBack()
    {
        if (Interlocked.Decrement(ref _inFlight) == Retired)
        {
            _idle.TrySetResult();
        }
    }
}
