using System.CommandLine;
using TrainServe.Training.Data;
using TrainServe.Training.Data.SmallWorld;

namespace TrainServe.Cli.Commands;

/// <summary><c>trainserve data generate</c>: data whose truth is known.</summary>
public static class DataGenerateCommand
{
    public static Command Create() => new("generate", "Makes data whose truth is known.") { SmallWorld(), Sums() };

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
}
