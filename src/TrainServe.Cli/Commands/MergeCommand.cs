using System.CommandLine;
using TrainServe.Core.Packaging;
using TrainServe.Model;
using TrainServe.Training.FineTuning.Lora;
using TrainServe.Training.Loops;

namespace TrainServe.Cli.Commands;

/// <summary><c>trainserve merge</c>: low-rank adapters become a part of the weights.</summary>
public static class MergeCommand
{
    public static Command Create()
    {
        var model = new Option<string>("--model") { Description = "The model directory that the adapters were trained on.", Required = true };
        var adapter = new Option<string>("--adapter") { Description = "A directory with adapter_config.json and adapter_model.safetensors.", Required = true };
        var output = new Option<string>("--output") { Description = "The directory of the merged model.", Required = true };
        var command = new Command("merge", "Adds low-rank adapters in PEFT's layout to a model.") { model, adapter, output };
        command.SetAction(arguments =>
        {
            TorchRuntime.Initialize();
            var package = ModelPackage.OpenCheckedIfListed(arguments.GetRequiredValue(model));
            string directory = arguments.GetRequiredValue(adapter);
            using var merged = Transformer.Load(package);
            PeftAdapter.Merge(merged, directory);
            var lineage = new Lineage
            {
                Stage = "merge",
                Parent = RunOptions.ParentOf(package),
                Data = [new DataSource("adapter", FileHash.OfFile(Path.Combine(directory, PeftAdapter.WeightsFile)))],
            };
            var template = package.LoadChatTemplate(package.LoadTokenizer());
            var written = TrainedModelWriter.Write(merged, package.Directory, template.StopTokenIds, lineage, arguments.GetRequiredValue(output), TimeProvider.System, replace: false);
            Console.WriteLine($"The merged model is in {written.Directory}");
        });
        return command;
    }
}
