using System.CommandLine;
using System.Text.Json;
using TrainServe.Core.Chat;
using TrainServe.Core.Data;
using TrainServe.Core.IO;
using TrainServe.Core.Packaging;
using TrainServe.Core.Sampling;
using TrainServe.Model;
using TrainServe.Model.Scoring;
using TrainServe.Training.ConstitutionalAi;
using TrainServe.Training.Recipes;

namespace TrainServe.Cli.Commands;

/// <summary><c>trainserve constitution</c>: a model revises and compares its own answers by written principles.</summary>
public static class ConstitutionCommand
{
    private const string RevisionsFile = "revisions.jsonl", PairsFile = "pairs.jsonl";

    public static Command Create()
    {
        var model = new Option<string>("--model") { Description = "The model that answers, criticizes, revises and compares.", Required = true };
        var constitution = new Option<string>("--constitution") { Description = "A YAML file of principles; models/constitution.yaml is one.", Required = true };
        var data = new Option<string[]>("--data") { Description = "Files of prompts (.jsonl or .json, also .gz).", Required = true, AllowMultipleArgumentsPerToken = true };
        var maxTokens = new Option<int>("--max-tokens") { Description = "Most tokens of an answer.", DefaultValueFactory = _ => 96 };
        var temperature = new Option<float>("--temperature") { Description = "Divides the logits.", DefaultValueFactory = _ => 1 };
        var seed = new Option<ulong>("--seed") { Description = "The same seed gives the same records.", DefaultValueFactory = _ => 1 };
        var limit = new Option<int>("--limit") { Description = "At most so many prompts; 0 is all of them." };
        var output = new Option<string>("--output") { Description = $"A directory for {RevisionsFile}, to fine-tune on, and {PairsFile}, for reward or dpo.", Required = true };
        var command = new Command("constitution", "Makes training records by a written constitution, without human labels: critique, revision, comparison.") { model, constitution, data, maxTokens, temperature, seed, limit, output };
        command.SetAction((arguments, stop) =>
        {
            TorchRuntime.Initialize();
            var package = ModelPackage.OpenCheckedIfListed(arguments.GetRequiredValue(model));
            var tokenizer = package.LoadTokenizer();
            var principles = RecipeFile.Read<Constitution>(arguments.GetRequiredValue(constitution));
            IEnumerable<Prompt> prompts = PromptReader.ReadAll(arguments.GetRequiredValue(data), BadRecords.Strict());
            prompts = arguments.GetValue(limit) is > 0 and var most ? [.. prompts.Take(most)] : prompts;
            using var scorer = new TorchLanguageScorer(package);
            var stage = new CritiqueAndRevision(principles, scorer, tokenizer, package.LoadChatTemplate(tokenizer),
                new SamplingParameters { Temperature = arguments.GetValue(temperature) }, arguments.GetValue(maxTokens), arguments.GetValue(seed));
            string directory = arguments.GetRequiredValue(output);
            Directory.CreateDirectory(directory);
            int revisions = Write(Path.Combine(directory, RevisionsFile), stage.Revise(prompts, stop).Select(found => JsonSerializer.Serialize(
                new { Messages = Messages(found.Prompt).Append(new { Role = "assistant", Content = found.Revision }), found.Principle, found.Answer, found.Critique }, JsonFile.SnakeCaseLine)));
            int skipped = stage.Skipped;
            int pairs = Write(Path.Combine(directory, PairsFile), stage.Compare(prompts, stop).Select(found => JsonSerializer.Serialize(
                new { Prompt = Messages(found.Prompt), found.Chosen, found.Rejected, found.Confidence, found.Principle }, JsonFile.SnakeCaseLine)));
            Console.WriteLine($"{revisions} revisions ({skipped} prompts gave none) and {pairs} pairs ({stage.Skipped - skipped} gave none) are in {directory}");
            return Task.CompletedTask;
        });
        return command;
    }

    private static IEnumerable<object> Messages(Prompt prompt) => prompt.Messages.Select(message => (object)new { Role = message.Role.Name(), message.Content });

    private static int Write(string path, IEnumerable<string> lines)
    {
        int count = 0;
        using var writer = new StreamWriter(path);
        foreach (string line in lines)
        {
            writer.WriteLine(line);
            count++;
        }
        return count;
    }
}
