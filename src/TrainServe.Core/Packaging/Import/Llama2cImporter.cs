using TrainServe.Core.Chat;
using TrainServe.Core.Tokenization;

namespace TrainServe.Core.Packaging.Import;

/// <summary>Turns a llama2.c checkpoint and its vocabulary into a model directory.</summary>
public static class Llama2cImporter
{
    /// <param name="weights">A checkpoint in llama2.c's first format.</param>
    /// <param name="tokenizer">The vocabulary that belongs to it.</param>
    /// <param name="output">The model directory to make.</param>
    /// <param name="time">For the manifest.</param>
    /// <exception cref="FileNotFoundException">One of the files does not exist.</exception>
    /// <exception cref="InvalidDataException">One of the files is damaged, or they do not belong together.</exception>
    /// <exception cref="IOException">The directory already holds a model.</exception>
    public static ModelPackage Import(string weights, string tokenizer, string output, TimeProvider time)
    {
        ModelPackageWriter.RequireFree(output);
        var checkpoint = Llama2cCheckpoint.Read(weights);
        var vocabulary = Llama2cTokenizer.Read(tokenizer, checkpoint.Config.VocabSize);
        using var writer = new ModelPackageWriter(output, time);
        checkpoint.Config.Write(writer.PathOf(ModelPackage.ConfigFile));
        new GenerationConfig { BosTokenId = checkpoint.Config.BosTokenId, EosTokenId = checkpoint.Config.EosTokenId }.Write(writer.PathOf(ModelPackage.GenerationConfigFile));
        vocabulary.Write(writer.PathOf(ModelPackage.TokenizerFile));
        WriteTokenizerConfig(writer.Staging, checkpoint.Config);
        SafeTensorsWriter.Write(writer.PathOf(ModelPackage.WeightsFile), checkpoint.Tensors());
        return writer.Complete(new Lineage
        {
            Stage = "import llama2c",
            Data = [Source(weights), Source(tokenizer)],
        });
    }

    // A story model has no turns: its template is the plain one.
    private static void WriteTokenizerConfig(string directory, ModelConfig config)
    {
        var names = new TokenizerConfig { BosToken = "<s>", EosToken = "</s>", ModelMaxLength = config.MaxPositionEmbeddings };
        names.Write(directory, TextTokenizer.Load(directory).Special);
        var tokenizer = TextTokenizer.Load(directory);
        (names with { ChatTemplate = ChatTemplate.Plain(tokenizer).Jinja }).Write(directory, tokenizer.Special);
    }

    private static DataSource Source(string path) => new(Path.GetFileName(path), FileHash.OfFile(path));
}
