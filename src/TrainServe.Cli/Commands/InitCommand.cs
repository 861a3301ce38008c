using System.CommandLine;
using TrainServe.Core;
using TrainServe.Core.Packaging;
using TrainServe.Core.Tokenization;
using TrainServe.Model;
using TrainServe.Training.Tokenization;

namespace TrainServe.Cli.Commands;

/// <summary><c>trainserve init</c>: random weights of a shape, for benchmarks and trials.</summary>
public static class InitCommand
{
    public static Command Create()
    {
        var config = new Option<string>("--config") { Description = "A config.json of the shape.", Required = true };
        var output = new Option<string>("--output") { Description = "The model directory to make.", Required = true };
        var tokenizer = new Option<string?>("--tokenizer") { Description = "A directory with the tokenizer to take; single bytes without it." };
        var seed = new Option<ulong>("--seed") { Description = "Of the weights.", DefaultValueFactory = _ => 0 };
        var command = new Command("init", "Makes a model directory with random weights.") { config, output, tokenizer, seed };
        command.SetAction(arguments =>
        {
            TorchRuntime.Initialize();
            var package = Make(arguments.GetRequiredValue(config), arguments.GetRequiredValue(output), arguments.GetValue(tokenizer), arguments.GetValue(seed), TimeProvider.System);
            Console.WriteLine($"{package.Name}: {package.Config.ParameterCount:N0} random parameters, in {package.Directory}");
            Console.WriteLine($"next: trainserve export --model {arguments.GetRequiredValue(output)}");
        });
        return command;
    }

    private static ModelPackage Make(string configPath, string output, string? tokenizerDirectory, ulong seed, TimeProvider time)
    {
        ModelPackageWriter.RequireFree(output);
        var shape = ModelConfig.Read(configPath);
        using var writer = new ModelPackageWriter(output, time);
        var tokenizer = tokenizerDirectory is null ? BpeVocabulary.OfBytes(SpecialTokens.Ours).Save(writer.Staging) : Copy(tokenizerDirectory, writer.Staging);
        if (shape.VocabSize < tokenizer.VocabSize)
        {
            throw new InvalidDataException($"{configPath}: vocab_size is {shape.VocabSize}; the tokenizer has {tokenizer.VocabSize} tokens.");
        }
        var config = shape with { BosTokenId = tokenizer.Special.BosId, EosTokenId = [tokenizer.Special.EosId], PadTokenId = tokenizer.Special.PadId };
        config.Write(writer.PathOf(ModelPackage.ConfigFile));
        new GenerationConfig { BosTokenId = config.BosTokenId, EosTokenId = config.EosTokenId, PadTokenId = config.PadTokenId }.Write(writer.PathOf(ModelPackage.GenerationConfigFile));
        using var model = new Transformer(config);
        model.Initialize(seed);
        var type = config.TorchDtype == "bfloat16" ? SafeTensorType.BF16 : SafeTensorType.F32;
        SafeTensorsWriter.Write(writer.PathOf(ModelPackage.WeightsFile), StateDictAdapter.Save(model, type));
        return writer.Complete(new Lineage { Stage = "init", Seed = seed });
    }

    private static TextTokenizer Copy(string from, string to)
    {
        foreach (string name in new[] { ModelPackage.TokenizerFile, TokenizerConfig.FileName, TokenizerConfig.TemplateFileName }.Where(name => File.Exists(Path.Combine(from, name))))
        {
            File.Copy(Path.Combine(from, name), Path.Combine(to, name));
        }
        return TextTokenizer.Load(to);
    }
}
