using System.CommandLine;
using TrainServe.Training.Data.SmallWorld;

namespace TrainServe.Cli.Commands;

/// <summary><c>trainserve data generate</c>: data whose truth is known.</summary>
public static class DataGenerateCommand
{
    public static Command Create()
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
        return new Command("generate", "Makes data whose truth is known.") { command };
    }
}
