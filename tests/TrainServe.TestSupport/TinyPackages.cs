using TrainServe.Core;
using TrainServe.Core.Chat;
using TrainServe.Core.Packaging;
using TrainServe.Core.Tokenization;

namespace TrainServe.TestSupport;

/// <summary>Whole model directories with random weights and a tokenizer of single bytes, small enough for milliseconds.</summary>
public static class TinyPackages
{
    /// <summary>256 bytes, then the control tokens.</summary>
    public static int VocabSize => 256 + SpecialTokens.Ours.Count;

    /// <summary>Makes a language model's directory without export.</summary>
    /// <param name="directory">Must not hold a model yet.</param>
    /// <param name="shape">Its vocabulary must be <see cref="VocabSize"/> or larger; the tiny default when null.</param>
    /// <param name="seed">Of the weights.</param>
    public static ModelPackage Write(string directory, ModelConfig? shape = null, ulong seed = 1)
    {
        using var writer = new ModelPackageWriter(directory, TimeProvider.System);
        var special = WriteTokenizer(writer.Staging);
        var config = (shape ?? TinyModels.Config(VocabSize)) with { BosTokenId = special.BosId, EosTokenId = [special.EosId], PadTokenId = special.PadId };
        config.Write(writer.PathOf(ModelPackage.ConfigFile));
        RandomWeights.Write(writer.PathOf(ModelPackage.WeightsFile), config, seed);
        return writer.Complete(new Lineage { Stage = "init", Seed = seed });
    }

    private static SpecialTokens WriteTokenizer(string directory)
    {
        TokenizerJsonWriter.Write(Path.Combine(directory, ModelPackage.TokenizerFile), [.. Enumerable.Range(0, 256).Select(value => new[] { (byte)value })], [], SpecialTokens.Ours);
        var names = new TokenizerConfig { BosToken = SpecialTokens.EndOfText, EosToken = SpecialTokens.EndOfText, PadToken = SpecialTokens.Pad };
        names.Write(directory, TextTokenizer.Load(directory).Special);
        var tokenizer = TextTokenizer.Load(directory);
        (names with { ChatTemplate = ChatTemplate.TrainServe(tokenizer).Jinja }).Write(directory, tokenizer.Special);
        return tokenizer.Special;
    }
}
