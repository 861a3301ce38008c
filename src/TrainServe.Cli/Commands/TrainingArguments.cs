using System.CommandLine;
using TrainServe.Cli.Display;
using TrainServe.Model;
using TrainServe.Training.Checkpointing;
using TrainServe.Training.Loops;

namespace TrainServe.Cli.Commands;

/// <summary>Makes a run ready.</summary>
/// <param name="workDirectory">For what is prepared from the data.</param>
/// <param name="display">Is told what is done.</param>
/// <param name="stop">Stops it.</param>
internal delegate ITrainingRun RunPreparation(string workDirectory, ITrainingDisplay display, CancellationToken stop);

/// <summary>What the training verbs share: options, dry run, lock, signals, exit code.</summary>
internal sealed class TrainingArguments
{
    // Beside the run's other files; removed with them.
    private const string PreparedDirectory = "prepared";
    private readonly Option<string> _recipe = new("--recipe") { Description = "A YAML file; models/recipes holds some.", Required = true };
    private readonly Option<string[]> _data;
    private readonly Option<string?> _model;
    private readonly Option<string> _output = new("--output") { Description = "The directory for the run and, at its end, the model.", Required = true };
    private readonly Option<bool> _resume = new("--resume") { Description = "Go on from the newest checkpoint in the output directory, bit for bit." };
    private readonly Option<bool> _resumeIfAny = new("--resume-if-any") { Description = "Like --resume where the output directory holds a run that saved something, and begin one where it does not: for schedulers that start a job again." };
    private readonly Option<string[]> _set = new("--set") { Description = "section.key=value replaces a key of the recipe; may be repeated." };
    private readonly Option<bool> _dryRun = new("--dry-run") { Description = "Print parameters, memory, steps, tokens and a preview of the data, and train nothing." };
    private readonly Option<int> _threads = new("--threads") { Description = "Threads of one operation; 0 for one a core. A resumed run is bit for bit the same with the same number." };

    public TrainingArguments(string verb, string description, string data, string model)
    {
        _data = new Option<string[]>("--data") { Description = data, AllowMultipleArgumentsPerToken = true };
        _model = new Option<string?>("--model") { Description = model };
        Command = new Command(verb, description) { _recipe, _data, _model, _output, _resume, _resumeIfAny, _set, _dryRun, _threads };
    }

    public Command Command { get; }

    public RunOptions Options(ParseResult arguments)
    {
        var options = new RunOptions
        {
            RecipePath = arguments.GetRequiredValue(_recipe),
            Overrides = arguments.GetValue(_set) ?? [],
            Data = arguments.GetValue(_data) ?? [],
            Model = arguments.GetValue(_model),
            Output = arguments.GetRequiredValue(_output),
            Resume = arguments.GetValue(_resume),
        };
        return arguments.GetValue(_resumeIfAny) && options.HoldsProgress ? options with { Resume = true } : options;
    }

    /// <returns>The exit code.</returns>
    public int Run(ParseResult arguments, RunOptions options, RunPreparation prepare)
    {
        TorchRuntime.Initialize(arguments.GetValue(_threads));
        if (arguments.GetValue(_dryRun))
        {
            return DryRun(prepare);
        }
        options.RequireUsableOutput();
        using var runLock = RunLock.Take(options.Output);
        using var signal = new InterruptSignal(() => Console.Error.WriteLine("Stopping after this step; the state is saved. Once more ends at once and loses what was not saved."));
        string work = Path.Combine(options.Output, PreparedDirectory);
        if (!options.Resume && Directory.Exists(work))
        {
            // What an earlier attempt prepared, perhaps from other data.
            Directory.Delete(work, recursive: true);
        }
        return TrainingDisplays.Run(display =>
        {
            using var run = prepare(work, display, signal.Requested);
            foreach (string line in PlanText.Lines(run.Plan))
            {
                display.Note(line);
            }
            run.Plan.RequireMemory(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes);
            var (outcome, package) = run.Run(signal.Requested);
            if (package is null)
            {
                display.Note($"Stopped at step {outcome.State.Step} of {run.Plan.TotalSteps}; go on with --resume.");
                return ExitCodes.Interrupted;
            }
            display.Note(PlanText.Ending(outcome, package));
            return ExitCodes.Done;
        });
    }

    private static int DryRun(RunPreparation prepare)
    {
        string work = Directory.CreateTempSubdirectory("trainserve-dry-run-").FullName;
        try
        {
            return TrainingDisplays.Run(display =>
            {
                using var run = prepare(work, display, CancellationToken.None);
                foreach (string line in PlanText.Lines(run.Plan).Append("").Concat(run.Plan.Preview.TrimEnd('\n').Split('\n')))
                {
                    display.Note(line);
                }
                return ExitCodes.Done;
            });
        }
        finally
        {
            Directory.Delete(work, recursive: true);
        }
    }
}
