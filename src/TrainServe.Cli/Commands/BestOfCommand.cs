using System.CommandLine;
using System.Text.Json;
using TrainServe.Core.Data;
using TrainServe.Core.IO;
using TrainServe.Core.Packaging;
using TrainServe.Model;
using TrainServe.Training.Recipes;
using TrainServe.Training.Reinforcement;

namespace TrainServe.Cli.Commands;

/// <summary><c>trainserve best-of</c>: of several answers the one that a reward model likes best.</summary>
public static class BestOfCommand
{
    public static Command Create()
    {
        var model = new Option<string>("--model") { Description = "The model that answers.", Required = true };
        var reward = new Option<string>("--reward") { Description = "The reward model, of the same tokenizer.", Required = true };
        var data = new Option<string[]>("--data") { Description = "Files of prompts (.jsonl or .json, also .gz).", Required = true, AllowMultipleArgumentsPerToken = true };
        var samples = new Option<int>("--n") { Description = "Answers to each prompt.", DefaultValueFactory = _ => 8 };
        var maxTokens = new Option<int>("--max-tokens") { Description = "Most tokens of an answer.", DefaultValueFactory = _ => 128 };
        var temperature = new Option<float>("--temperature") { Description = "Divides the logits.", DefaultValueFactory = _ => 1 };
        var seed = new Option<ulong>("--seed") { Description = "The same seed draws the same answers.", DefaultValueFactory = _ => 1 };
        var pairs = new Option<bool>("--pairs") { Description = "Write the best answer as chosen and the worst as rejected: preference pairs for dpo or reward. Prompts whose answers are all the same are left out." };
        var limit = new Option<int>("--limit") { Description = "At most so many prompts; 0 is all of them." };
        var output = new Option<string>("--output") { Description = "The JSON lines to write: prompt, completion, score, mean_score.", Required = true };
        var command = new Command("best-of", "Samples several answers to each prompt and keeps the one that a reward model scores highest.") { model, reward, data, samples, maxTokens, temperature, seed, pairs, limit, output };
        command.SetAction((arguments, stop) =>
        {
            TorchRuntime.Initialize();
            var rollout = new RolloutSection { MaxNewTokens = arguments.GetValue(maxTokens), Temperature = arguments.GetValue(temperature) };
            using var best = new BestOfN(ModelPackage.Open(arguments.GetRequiredValue(model)), ModelPackage.Open(arguments.GetRequiredValue(reward)), arguments.GetValue(samples), rollout, arguments.GetValue(seed));
            IEnumerable<Prompt> prompts = PromptReader.ReadAll(arguments.GetRequiredValue(data), BadRecords.Strict());
            prompts = arguments.GetValue(limit) is > 0 and var most ? prompts.Take(most) : prompts;
            double gain = 0;
            int count = 0;
            using var writer = new StreamWriter(arguments.GetRequiredValue(output));
            foreach (var ranked in best.Answer(prompts, stop))
            {
                double mean = ranked.Answers.Average(answer => answer.Score);
                gain += ranked.Answers[0].Score - mean;
                count++;
                if (Line(ranked, mean, arguments.GetValue(pairs)) is { } line)
                {
                    writer.WriteLine(line);
                }
            }
            Console.WriteLine($"{count} prompts: the best of {arguments.GetValue(samples)} answers scores {gain / Math.Max(1, count):F3} above their mean");
            return Task.CompletedTask;
        });
        return command;
    }

    private static string? Line(RankedAnswers ranked, double mean, bool asPair)
    {
        var prompt = ranked.Prompt.Messages.Select(message => new { Role = Core.Chat.ChatRoles.Name(message.Role), message.Content }).ToList();
        var (text, score) = ranked.Answers[0];
        if (!asPair)
        {
            return JsonSerializer.Serialize(new { Prompt = ranked.Prompt.Messages[^1].Content, Completion = text, Score = score, MeanScore = mean }, JsonFile.SnakeCaseLine);
        }
        string worst = ranked.Answers[^1].Text;
        return text == worst || string.IsNullOrWhiteSpace(text) || string.IsNullOrWhiteSpace(worst) ? null
            : JsonSerializer.Serialize(new { Prompt = prompt, Chosen = text, Rejected = worst, Score = score, RejectedScore = ranked.Answers[^1].Score }, JsonFile.SnakeCaseLine);
    }
}
