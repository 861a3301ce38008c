using System.CommandLine;
using System.Text.Json;
using TrainServe.Core.Data;
using TrainServe.Core.IO;
using TrainServe.Core.Packaging;
using TrainServe.Core.Sampling;
using TrainServe.Model;
using TrainServe.Model.Scoring;
using TrainServe.Training.Data;
using TrainServe.Training.Data.SmallWorld;
using TrainServe.Training.RewardModeling;

namespace TrainServe.Cli.Commands;

/// <summary><c>trainserve data generate</c>: data whose truth is known.</summary>
public static class DataGenerateCommand
{
    public static Command Create() => new("generate", "Makes data whose truth is known.") { SmallWorld(), Sums(), Pairs() };

    private static Command SmallWorld()
    {
        var output = new Option<string>("--output") { Description = "The directory to make.", Required = true };
        var size = new Option<int>("--size") { Description = "How many stories, and how many conversations.", DefaultValueFactory = _ => 10_000 };
        var seed = new Option<ulong>("--seed") { Description = "Decides everything: the same seed and size give the same bytes.", DefaultValueFactory = _ => 1 };
        size.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() < 1)
            {
                result.AddError("--size must be at least 1.");
            }
        });
        var command = new Command("small-world", "People, places, things, wishes and feelings: stories, conversations about them, preference pairs, and an evaluation of facts that were never told.") { output, size, seed };
        command.SetAction((arguments, cancellationToken) =>
        {
            string directory = arguments.GetRequiredValue(output);
            var counts = SmallWorldWriter.Write(directory, arguments.GetValue(size), arguments.GetValue(seed), cancellationToken);
            foreach (var (file, count) in counts)
            {
                Console.WriteLine($"{Path.Combine(directory, file)}: {count:N0} lines");
            }
            return Task.FromResult(ExitCodes.Done);
        });
        return command;
    }

    private static Command Sums()
    {
        var output = new Option<string>("--output") { Description = $"The directory that gets {SumsWriter.TrainFile} and {SumsWriter.TestFile}.", Required = true };
        var largest = new Option<int>("--largest") { Description = "The largest number that is added.", DefaultValueFactory = _ => 99 };
        var fraction = new Option<double>("--test-fraction") { Description = "The part of all pairs of numbers that is only asked; neither order of such a pair is learned from.", DefaultValueFactory = _ => 0.3 };
        var seed = new Option<ulong>("--seed") { Description = "The same seed gives the same bytes.", DefaultValueFactory = _ => 1 };
        largest.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() is < 1 or > SumsWriter.MostLargest)
            {
                result.AddError($"--largest must be from 1 to {SumsWriter.MostLargest}.");
            }
        });
        fraction.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<double>() is not (> 0 and < 1))
            {
                result.AddError("--test-fraction must be above 0 and below 1.");
            }
        });
        var command = new Command("sums", "Every sum of two numbers once, to learn by a reward that can be checked.") { output, largest, fraction, seed };
        command.SetAction(arguments =>
        {
            string directory = arguments.GetRequiredValue(output);
            var (train, test) = SumsWriter.Write(directory, arguments.GetValue(largest), arguments.GetValue(fraction), arguments.GetValue(seed));
            Console.WriteLine($"{Path.Combine(directory, SumsWriter.TrainFile)}: {train} sums");
            Console.WriteLine($"{Path.Combine(directory, SumsWriter.TestFile)}: {test} sums of other numbers");
        });
        return command;
    }

    private static Command Pairs()
    {
        var model = new Option<string>("--model") { Description = "The language model whose continuations are the rejected ones: one that is weaker than what people write.", Required = true };
        var input = new Option<string[]>("--input") { Description = "Text, as for data pack, without what later stages are measured by (data exclude).", Required = true, AllowMultipleArgumentsPerToken = true };
        var output = new Option<string>("--output") { Description = "The JSON lines to write: prompt, chosen, rejected.", Required = true };
        var limit = new Option<int>("--limit") { Description = "At most so many documents; 0 is all of them." };
        var words = new Option<int>("--opening-words") { Description = "A prompt is as few sentences of a document as make so many words.", DefaultValueFactory = _ => 12 };
        var maxTokens = new Option<int>("--max-tokens") { Description = "Most tokens of a continuation.", DefaultValueFactory = _ => 128 };
        var temperature = new Option<float>("--temperature") { Description = "Divides the logits.", DefaultValueFactory = _ => 1 };
        var topP = new Option<float>("--top-p") { Description = "Samples from the fewest tokens that have so much of the probability.", DefaultValueFactory = _ => 1 };
        var seed = new Option<ulong>("--seed") { Description = "The same seed gives the same bytes.", DefaultValueFactory = _ => 1 };
        foreach (var option in new[] { words, maxTokens })
        {
            option.Validators.Add(result =>
            {
                if (result.GetValueOrDefault<int>() < 1)
                {
                    result.AddError($"{result.Option.Name} must be at least 1.");
                }
            });
        }
        var command = new Command("pairs", "Preference pairs without labels: what people wrote, and a model's continuation of the same opening. A reward model learns from them before it learns from people's preferences.")
        {
            model, input, output, limit, words, maxTokens, temperature, topP, seed,
        };
        command.SetAction((arguments, stop) =>
        {
            TorchRuntime.Initialize();
            var package = ModelPackage.OpenCheckedIfListed(arguments.GetRequiredValue(model));
            var tokenizer = package.LoadTokenizer();
            var sampling = new SamplingParameters { Temperature = arguments.GetValue(temperature), TopP = arguments.GetValue(topP) }.Validated(package.Config.VocabSize);
            using var scorer = new TorchLanguageScorer(package);
            var maker = new ContinuationPairs(scorer, tokenizer, package.Config.EosTokenId, sampling, arguments.GetValue(words), arguments.GetValue(maxTokens), arguments.GetValue(seed));
            var documents = DocumentReader.Read(arguments.GetRequiredValue(input), BadRecords.Strict());
            documents = arguments.GetValue(limit) is > 0 and var most ? documents.Take(most) : documents;
            int count = 0;
            using (var writer = new StreamWriter(arguments.GetRequiredValue(output)))
            {
                foreach (var pair in maker.Make(documents, stop))
                {
                    writer.WriteLine(JsonSerializer.Serialize(new { Prompt = pair.Opening, Chosen = pair.Written, Rejected = pair.Sampled }, JsonFile.SnakeCaseLine));
                    count++;
                }
            }
            Console.WriteLine($"{arguments.GetRequiredValue(output)}: {count:N0} pairs; {maker.Skipped:N0} documents gave none");
            return Task.FromResult(ExitCodes.Done);
        });
        return command;
    }
}
