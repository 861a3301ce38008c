using TrainServe.Core;
using TrainServe.Inference.Execution;

namespace TrainServe.Inference;

/// <summary>Sizes of an engine, fixed while it lives.</summary>
public sealed record EngineOptions
{
    /// <summary>Requests that run at the same time; each has a cache of <see cref="ContextLength"/> tokens.</summary>
    public int Slots { get; init; } = 8;

    /// <summary>Most tokens of prompt and answer together; 0 takes the model's max_position_embeddings.</summary>
    public int ContextLength { get; init; }

    /// <summary>Further slots that only keep what ended requests have cached, for later prompts that begin alike. Idle slots are used for that as well.</summary>
    public int PrefixSlots { get; init; } = 2;

    /// <summary>Prompt tokens between two decode steps: a longer chunk is faster for the prompt, a shorter one stalls the others less.</summary>
    public int PrefillChunk { get; init; } = 64;

    /// <summary>What computes; its export must be one for that device (<see cref="ExecutionChoice"/>).</summary>
    public InferenceDevice Device { get; init; } = InferenceDevice.Cpu;

    /// <summary>Threads of one step on the processor; 0 takes all cores.</summary>
    public int Threads { get; init; }

    /// <summary>Requests that may wait for a slot; more are refused.</summary>
    public int MaxQueuedRequests { get; init; } = 256;

    /// <summary>Prompt tokens of waiting requests; more are refused, except that one request may always wait.</summary>
    public int MaxQueuedPromptTokens { get; init; } = 1 << 17;

    /// <summary>
    /// Tokens that are guessed ahead for a request that runs alone, and verified in one step; 0 guesses none. Null takes 4 where the cache has eight bits, so that
    /// answers are the same to the bit, or where a smaller model is given to guess, and else 0: in single precision verifying may turn a near tie round.
    /// </summary>
    public int? DraftTokens { get; init; }

    /// <summary>The options with their defaults filled in for a model.</summary>
    /// <exception cref="ArgumentException">A rule is broken; the message names the setting, its value and the rule.</exception>
    public EngineOptions ValidatedFor(ModelConfig config)
    {
        RequireRange(nameof(Slots), Slots, 1, 1024);
        RequireRange(nameof(PrefixSlots), PrefixSlots, 0, 1024);
        RequireRange(nameof(ContextLength), ContextLength, 0, config.MaxPositionEmbeddings);
        RequireRange(nameof(PrefillChunk), PrefillChunk, 2, 1 << 16);
        RequireRange(nameof(Threads), Threads, 0, 1024);
        RequireRange(nameof(DraftTokens), DraftTokens ?? 0, 0, 64);
        RequireRange(nameof(MaxQueuedRequests), MaxQueuedRequests, 1, 1 << 20);
        RequireRange(nameof(MaxQueuedPromptTokens), MaxQueuedPromptTokens, 1, int.MaxValue);
        return this with
        {
            ContextLength = ContextLength == 0 ? config.MaxPositionEmbeddings : ContextLength,
            Threads = Threads == 0 ? Environment.ProcessorCount : Threads,
        };

        static void RequireRange(string name, int value, int least, int most)
        {
            if (value < least || value > most)
            {
                throw new ArgumentException($"{name} is {value}; it must be from {least} to {most}.", name);
            }
        }
    }
}
