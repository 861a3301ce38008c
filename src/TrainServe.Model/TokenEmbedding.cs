using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace TrainServe.Model;

// B batch, T time, C width, V vocabulary.

/// <summary>A row of a table for each token.</summary>
/// <remarks>
/// TorchSharp has no functional embedding, and choosing rows by index has a gradient three times as slow. Its Embedding module is only the operator here: what its
/// own <c>parameters()</c> gives is not the table that it reads when it was made from a tensor, so the table is registered by this module.
/// </remarks>
internal sealed class TokenEmbedding : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = "weight")]
    private readonly Parameter _weight;
    private readonly Operator _lookUp;

    public TokenEmbedding(long vocabulary, long width, ScalarType dtype, Device device) : base(nameof(TokenEmbedding))
    {
        using var fresh = zeros([vocabulary, width], dtype, device);
        _lookUp = new Operator(nn.Embedding_from_pretrained(fresh, freeze: false));
        _weight = _lookUp.Module.weight!;
        _weight.DetachFromDisposeScope();
        RegisterComponents();
    }

    /// <summary>[V, C]</summary>
    internal Parameter Weight => _weight;

    /// <param name="idsBT">int64, [B, T].</param>
    /// <returns>[B, T, C], owned by the caller.</returns>
    public override Tensor forward(Tensor idsBT) => _lookUp.Module.call(idsBT);

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _lookUp.Module.Dispose();
        }
        base.Dispose(disposing);
    }

    // A field that holds the module itself would be registered, and the table counted twice.
    private sealed record Operator(Embedding Module);
}
