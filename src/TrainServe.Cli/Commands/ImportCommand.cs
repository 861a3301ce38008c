using System.CommandLine;
using TrainServe.Core.Packaging.Import;

namespace TrainServe.Cli.Commands;

/// <summary><c>trainserve import llama2c</c>: models of others become model directories.</summary>
public static class ImportCommand
{
    public static Command Create() => new("import", "Makes a model directory of a model that others trained.") { Llama2c() };

    private static Command Llama2c()
    {
        var weights = new Option<string>("--weights") { Description = "The checkpoint, in the first format of llama2.c (stories260K.bin).", Required = true };
        var tokenizer = new Option<string>("--tokenizer") { Description = "Its vocabulary (tok512.bin).", Required = true };
        var output = new Option<string>("--output") { Description = "The model directory to make.", Required = true };
        var command = new Command("llama2c", "Imports a llama2.c checkpoint with its vocabulary.") { weights, tokenizer, output };
        command.SetAction(arguments =>
        {
            var package = Llama2cImporter.Import(arguments.GetRequiredValue(weights), arguments.GetRequiredValue(tokenizer), arguments.GetRequiredValue(output), TimeProvider.System);
            Console.WriteLine($"{package.Name}: {package.Config.ParameterCount:N0} parameters, {package.Config.VocabSize:N0} tokens, in {package.Directory}");
            Console.WriteLine($"next: trainserve export --model {arguments.GetRequiredValue(output)}");
        });
        return command;
    }
}
