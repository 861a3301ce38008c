using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using TrainServe.Core;
using TrainServe.Core.Packaging;
using TrainServe.Model.Generation;
using TrainServe.Model.Kernels;
using static TorchSharp.torch;

namespace TrainServe.Model;

// B batch, T time, S time including what is cached, C width, V vocabulary.

/// <summary>A Llama-type decoder: embedding, blocks, norm, and a head for next tokens (LlamaForCausalLM) or for one score (LlamaForSequenceClassification).</summary>
/// <remarks>It lives where it was made: <c>to()</c> is not supported. Weights are zero until <see cref="Initialize"/> or <see cref="StateDictAdapter.Load"/>. A new model is in training mode: <c>eval()</c> turns dropout off.</remarks>
public sealed class Transformer : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = "embedding")]
    private readonly TokenEmbedding _embedding;
    [ComponentName(Name = "blocks")]
    private readonly ModuleList<TransformerBlock> _registeredBlocks;
    [ComponentName(Name = "norm")]
    private readonly RmsNorm _norm;
    [ComponentName(Name = "head")]
    private readonly Parameter? _head;
    [ComponentName(Name = "score")]
    private readonly ScalarHead? _score;
    private readonly TransformerBlock[] _blocks;
    private readonly RotaryEmbedding _rotary;
    private readonly StepMemory _memory = new();
    private readonly double _dropout;

    /// <param name="config">The shape.</param>
    /// <param name="dropout">Probability of dropping a component of the embedding and of each block's two additions; attention's own is <see cref="ModelConfig.AttentionDropout"/>.</param>
    /// <param name="dtype">Type of all weights.</param>
    /// <param name="device">Where they live; the CPU when null.</param>
    public Transformer(ModelConfig config, float dropout = 0, ScalarType dtype = ScalarType.Float32, Device? device = null) : base(nameof(Transformer))
    {
        ArgumentOutOfRangeException.ThrowIfNegative(dropout);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(dropout, 1);
        (Config, Dtype, Device, _dropout) = (config.Validated("the model's config"), dtype, device ?? CPU, dropout);
        _embedding = new TokenEmbedding(config.VocabSize, config.HiddenSize, dtype, Device);
        _blocks = [.. Enumerable.Range(0, config.NumHiddenLayers).Select(_ => new TransformerBlock(config, dropout, dtype, Device))];
        _registeredBlocks = nn.ModuleList(_blocks);
        _norm = new RmsNorm(config.HiddenSize, config.RmsNormEps, dtype, Device);
        _rotary = new RotaryEmbedding(config.MaxPositionEmbeddings, config.HeadDim, config.RopeTheta, dtype, Device);
        if (config.IsRewardModel)
        {
            _score = new ScalarHead(config.HiddenSize, dtype, Device);
        }
        else if (!config.TieWordEmbeddings)
        {
            _head = WeightTensors.Zeros([config.VocabSize, config.HiddenSize], dtype, Device);
        }
        RegisterComponents();
    }

    public ModelConfig Config { get; }
    public ScalarType Dtype { get; }
    public Device Device { get; }

    /// <summary>What computes passes without cache, mask and given positions. Set it before training, not during a pass.</summary>
    public TrainingKernels Kernels { get; set; } = TrainingKernels.Plain;

    /// <summary>[V, C]</summary>
    internal Parameter EmbeddingWeight => _embedding.Weight;
    internal IReadOnlyList<TransformerBlock> Blocks => _blocks;
    internal RmsNorm Norm => _norm;

    /// <summary>[V, C]; null where the head is tied or gives a score.</summary>
    internal Parameter? HeadWeight => _head;

    /// <summary>NEFTune's alpha: while training, every component of an embedding gets uniform noise within alpha / sqrt(T * C) of it; 0 adds none.</summary>
    /// <remarks>Jain et al. 2023, arXiv:2310.05914, algorithm 1.</remarks>
    public double EmbeddingNoise { get; set; }

    /// <summary>Whether every block keeps only its input for the backward pass, and is computed again there: less memory for a third more computation. It changes no number.</summary>
    /// <remarks>Turned on it has the C library give memory back as soon as it is free, for as long as the process runs: what it keeps for later is as much again as what is needed.</remarks>
    public bool ActivationCheckpointing
    {
        get;
        set
        {
            field = value;
            if (value)
            {
                NativeAllocator.GiveBackLargeBlocks();
            }
        }
    }

    /// <summary>Is called during a backward pass with the number of a block, from the last to the first, once the gradients of its weights are complete. It must not throw.</summary>
    public Action<int>? BlockGradientsDone { get; set; }

    /// <summary>The weights of one block.</summary>
    public IReadOnlyList<Parameter> BlockParameters(int layer) => [.. _blocks[layer].parameters()];

    /// <summary>The score's head; null for a language model.</summary>
    public ScalarHead? Score => _score;

    /// <summary>The matrices that are fused in one of the blocks' parameters, by their rows; null for everything else: embedding, norms, heads.</summary>
    /// <param name="parameter">Its name among <c>named_parameters()</c>.</param>
    public IReadOnlyList<long>? MatrixParts(string parameter)
    {
        long query = (long)Config.NumAttentionHeads * Config.HeadDim, keyValue = (long)Config.NumKeyValueHeads * Config.HeadDim;
        return parameter.EndsWith(".attention.qkv", StringComparison.Ordinal) ? [query, keyValue, keyValue]
            : parameter.EndsWith(".feed_forward.gate_up", StringComparison.Ordinal) ? [Config.IntermediateSize, Config.IntermediateSize]
            : parameter.EndsWith(".attention.output", StringComparison.Ordinal) || parameter.EndsWith(".feed_forward.down", StringComparison.Ordinal) ? [Config.HiddenSize]
            : null;
    }

    /// <summary>A model with the weights of a package, in evaluation mode.</summary>
    /// <exception cref="InvalidDataException">The weights are not those of the package's config.</exception>
    public static Transformer Load(ModelPackage package, float dropout = 0, ScalarType dtype = ScalarType.Float32, Device? device = null)
    {
        using var weights = package.OpenWeights();
        var model = new Transformer(package.Config, dropout, dtype, device);
        try
        {
            StateDictAdapter.Load(model, weights);
            model.eval();
            return model;
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>Fresh random weights; see <see cref="WeightInitializer"/>.</summary>
    public void Initialize(ulong seed) => WeightInitializer.Initialize(this, seed);

    /// <returns>Logits, [B, T, V]; of a reward model the scores, [B, T]. Owned by the caller.</returns>
    public override Tensor forward(Tensor idsBT)
    {
        using var scope = NewDisposeScope();
        return Head(Hidden(idsBT)).MoveToOuterDisposeScope();
    }

    /// <summary>Everything but the head.</summary>
    /// <param name="idsBT">Token ids, int64, [B, T].</param>
    /// <param name="positionsBT">Position of each token, int64, [B, T]; when null they count on from the cache, or from 0.</param>
    /// <param name="mask">True where a query may see a key, bool, broadcast to [B, H, T, S]; when null each token sees itself and all before it.</param>
    /// <param name="cache">Keys and values of earlier tokens; these tokens' are added.</param>
    /// <param name="documentsBT">A number for each token that is equal within a text and different between neighbours, int64, [B, T]: texts in one row do not see each other. In place of a mask.</param>
    /// <returns>[B, T, C], owned by the caller.</returns>
    /// <exception cref="ArgumentException">The tokens do not fit the context or the cache, or there are both a mask and documents.</exception>
    public Tensor Hidden(Tensor idsBT, Tensor? positionsBT = null, Tensor? mask = null, TorchKvCache? cache = null, Tensor? documentsBT = null)
    {
        if (documentsBT is not null && (mask is not null || cache is not null))
        {
            throw new ArgumentException("Documents take the place of a mask, and of rows from their beginning.", nameof(documentsBT));
        }
        using var scope = NewDisposeScope();
        long time = idsBT.shape[1], start = cache?.Length ?? 0;
        RequireRoom(idsBT, start, cache);
        bool isFast = Kernels.IsFast && positionsBT is null && mask is null && cache is null;
        var xBTC = isFast && is_grad_enabled() && StepMemory.Owns(_embedding.Weight) ? EmbeddingFunction.Apply(_embedding.Weight, idsBT, _memory) : _embedding.call(idsBT);
        if (training && EmbeddingNoise > 0)
        {
            xBTC = xBTC.Plus(Noise(xBTC));
        }
        if (training && _dropout > 0)
        {
            xBTC = nn.functional.dropout(xBTC, _dropout, training: true);
        }
        if (isFast)
        {
            return FastBlocks(xBTC, documentsBT).MoveToOuterDisposeScope();
        }
        var context = Context(positionsBT, documentsBT is null ? mask : AttentionMask.Documents(documentsBT), cache, start, time);
        for (int layer = 0; layer < _blocks.Length; layer++)
        {
            xBTC = Through(layer, Bounded(xBTC, layer), context);
        }
        cache?.Advance(time);
        return _norm.call(xBTC).MoveToOuterDisposeScope();
    }

    /// <summary>The head alone, so that a loss can take the positions piece by piece.</summary>
    /// <param name="hidden">What <see cref="Hidden"/> gives, or some of its positions: any shape that ends in C.</param>
    /// <returns>Logits, [.., V]; of a reward model the scores, [..]. Owned by the caller.</returns>
    public Tensor Head(Tensor hidden) => _score is not null ? _score.call(hidden) : WeightTensors.Multiply(hidden, _head ?? _embedding.Weight, byKernel: Kernels.IsFast);

    /// <summary>Head and next-token loss together, without keeping the logits where the kernels are the fast ones.</summary>
    /// <param name="hidden">What <see cref="Hidden"/> gives.</param>
    /// <param name="targets">Ids of the tokens that follow, int64, or <see cref="CrossEntropy.IgnoreIndex"/>; as many as hidden has positions.</param>
    /// <param name="regularization">Label smoothing and z-loss.</param>
    /// <returns>The sum over the positions that have a target, nats, [], owned by the caller.</returns>
    /// <remarks>A reward model has it too where the embedding is the head for tokens as well.</remarks>
    /// <exception cref="InvalidOperationException">The model gives scores, and its embedding is no head.</exception>
    public Tensor LossSum(Tensor hidden, Tensor targets, LossRegularization regularization = default)
    {
        if (_score is not null && !Config.TieWordEmbeddings)
        {
            throw new InvalidOperationException("A reward model whose embedding is no head has no next-token loss.");
        }
        using var scope = NewDisposeScope();
        var headVC = _head ?? _embedding.Weight;
        var sum = (Kernels.IsFast || Kernels.Matrices == ScalarType.BFloat16) && Dtype == ScalarType.Float32
            ? HeadLossFunction.Sum(hidden, headVC, targets, regularization, Kernels.Matrices, Kernels.IsFast, Kernels.IsFast ? _memory : null)
            : CrossEntropy.Sum(nn.functional.linear(hidden, headVC), targets, regularization).Sum;
        return sum.MoveToOuterDisposeScope();
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _rotary.Dispose();
            _memory.Dispose();
        }
        base.Dispose(disposing);
    }

    // libtorch's generator decides, as it does for dropout.
    private Tensor Noise(Tensor xBTC)
    {
        double bound = EmbeddingNoise / Math.Sqrt((double)xBTC.shape[1] * xBTC.shape[2]);
        return rand_like(xBTC).mul_(LiveScalar.Of(2 * bound)).sub_(LiveScalar.Of(bound));
    }

    private Tensor Through(int layer, Tensor xBTC, AttentionContext context) => ActivationCheckpointing && is_grad_enabled() && context.Cache is null
        ? RecomputedBlock.Apply(xBTC, _blocks[layer], context, layer, draws: training && (_dropout > 0 || Config.AttentionDropout > 0))
        : _blocks[layer].Forward(xBTC, context, layer);

    private Tensor FastBlocks(Tensor xBTC, Tensor? documentsBT)
    {
        bool drops = training && _dropout > 0;
        // libtorch's generator decides, as it does for every other dropout.
        ulong seed = drops ? unchecked((ulong)randint(long.MaxValue, [1], ScalarType.Int64).item<long>()) : 0;
        var pass = new BlockPass(_rotary.Cos, _rotary.Sin, documentsBT is null ? null : BlockPass.FirstOf(documentsBT), drops ? _dropout : 0, seed);
        for (int layer = 0; layer < _blocks.Length; layer++)
        {
            xBTC = BlockFunction.Apply(Bounded(xBTC, layer), _blocks[layer], new BlockCall(pass, layer, Config.NumAttentionHeads, Config.NumKeyValueHeads, Config.HeadDim, Config.RmsNormEps, Kernels.Matrices, _memory) { Recomputes = ActivationCheckpointing });
        }
        return NormFunction.Apply(xBTC, _norm);
    }

    private Tensor Bounded(Tensor xBTC, int layer) => BlockGradientsDone is { } notice && is_grad_enabled() ? BlockBoundary.Apply(xBTC, layer, notice) : xBTC;

    private AttentionContext Context(Tensor? positionsBT, Tensor? mask, TorchKvCache? cache, long start, long time)
    {
        var (cos, sin) = positionsBT is null ? _rotary.Run(start, time) : _rotary.At(positionsBT);
        // What is sampled, with a cache, is in the weights' own numbers.
        var matrices = Dtype == ScalarType.Float32 && cache is null ? Kernels.Matrices : Dtype;
        bool isSampled = Kernels.IsFast && cache is not null && !is_grad_enabled();
        if (mask is not null)
        {
            return new AttentionContext(cos, sin, mask, IsCausal: false, cache, matrices, isSampled);
        }
        bool continues = start > 0 && time > 1;
        return new AttentionContext(cos, sin, continues ? AttentionMask.Causal(time, start + time, Device) : null, IsCausal: start == 0 && time > 1, cache, matrices, isSampled);
    }

    private void RequireRoom(Tensor idsBT, long start, TorchKvCache? cache)
    {
        long end = start + idsBT.shape[1];
        if (end > Config.MaxPositionEmbeddings)
        {
            throw new ArgumentException($"{end} tokens do not fit the model's context of {Config.MaxPositionEmbeddings}.", nameof(idsBT));
        }
        if (cache is not null && (end > cache.Capacity || idsBT.shape[0] != cache.Batch))
        {
            throw new ArgumentException($"A batch of {idsBT.shape[0]} with {end} tokens does not fit a cache for {cache.Batch} with {cache.Capacity}.", nameof(idsBT));
        }
    }
}
