using System.CommandLine;
using TrainServe.Cli.Display;
using TrainServe.Model;
using TrainServe.Core;
using TrainServe.Training.Checkpointing;
using TrainServe.Training.Distributed;
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
    private readonly Option<int> _threads = new("--threads") { Description = "Threads of one operation; 0 for one a core, shared evenly by the processes of a machine. A resumed run is bit for bit the same with the same number." };

    private readonly Option<string> _device = new("--device") { Description = "auto, cpu, cuda, or cuda:N. auto is a GPU where this build and this machine have one.", DefaultValueFactory = _ => "auto" };

    /// <param name="verb">The command.</param>
    /// <param name="description">Its own.</param>
    /// <param name="data">What --data takes.</param>
    /// <param name="model">What --model takes.</param>
    public TrainingArguments(string verb, string description, string data, string model)
    {
        _data = new Option<string[]>("--data") { Description = data, AllowMultipleArgumentsPerToken = true };
        _model = new Option<string?>("--model") { Description = model };
        Command = new Command(verb, description) { _recipe, _data, _model, _output, _resume, _resumeIfAny, _set, _dryRun, _threads, _device };
    }

    public Command Command { get; }

    public RunOptions Options(ParseResult arguments)
    {
        var processes = MpiProcessGroup.Join();
        int threads = arguments.GetValue(_threads);
        TorchRuntime.Initialize(threads > 0 || processes.SizeHere == 1 ? threads : Math.Max(1, Environment.ProcessorCount / processes.SizeHere));
        var device = TorchDevices.Open(arguments.GetRequiredValue(_device), processes.RankHere);
        // A dry run is the first process's alone.
        (processes, string? note) = arguments.GetValue(_dryRun) ? (processes, null) : NcclProcessGroup.Over(processes, device);
        var options = new RunOptions
        {
            RecipePath = arguments.GetRequiredValue(_recipe),
            Overrides = arguments.GetValue(_set) ?? [],
            Data = arguments.GetValue(_data) ?? [],
            Model = arguments.GetValue(_model),
            Output = arguments.GetRequiredValue(_output),
            Resume = arguments.GetValue(_resume),
            Processes = processes,
            Device = device,
            ProcessesNote = note,
        };
        return arguments.GetValue(_resumeIfAny) && options.HoldsProgress ? options with { Resume = true } : options;
    }

    /// <returns>The exit code.</returns>
    public int Run(ParseResult arguments, RunOptions options, RunPreparation prepare)
    {
        var processes = options.Processes;
        int code = arguments.GetValue(_dryRun) ? DryRun(processes, prepare) : processes.IsFirst ? RunFirst(options, prepare) : RunOther(options, prepare);
        processes.Leave();
        return code;
    }

    // The only one that writes and speaks.
    private static int RunFirst(RunOptions options, RunPreparation prepare)
    {
        options.RequireUsableOutput();
        using var runLock = RunLock.Take(options.Output);
        string notice = options.Processes.Size == 1 ? "Stopping after this step; the state is saved. Once more ends at once and loses what was not saved."
            : "Stopping: if all processes are well, after this step, and the state is saved; if one of them has died, at once, and the last checkpoint stays. Go on with --resume.";
        using var signal = new InterruptSignal(() => Console.Error.WriteLine(notice));
        string work = Path.Combine(options.Output, PreparedDirectory);
        if (!options.Resume && Directory.Exists(work))
        {
            // What an earlier attempt prepared, perhaps from other data.
            Directory.Delete(work, recursive: true);
        }
        return TrainingDisplays.Run(display =>
        {
            if (options.ProcessesNote is { } note)
            {
                display.Note(note);
            }
            using var run = prepare(work, display, signal.Requested);
            // What the others need of it is there now.
            options.Processes.Wait();
            foreach (string line in PlanText.Lines(run.Plan))
            {
                display.Note(line);
            }
            run.Plan.RequireMemory(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes);
            var (outcome, package) = run.Run(signal.Requested);
            if (outcome.End == TrainingEnd.Interrupted)
            {
                display.Note($"Stopped at step {outcome.State.Step} of {run.Plan.TotalSteps}; go on with --resume.");
                return ExitCodes.Interrupted;
            }
            display.Note(PlanText.Ending(outcome, package!));
            return ExitCodes.Done;
        });
    }

    private static int RunOther(RunOptions options, RunPreparation prepare)
    {
        options.Processes.Wait();
        using var signal = new InterruptSignal();
        using var display = new SilentDisplay();
        using var run = prepare(Path.Combine(options.Output, PreparedDirectory), display, signal.Requested);
        return run.Run(signal.Requested).Outcome.End == TrainingEnd.Interrupted ? ExitCodes.Interrupted : ExitCodes.Done;
    }

    private static int DryRun(IProcessGroup processes, RunPreparation prepare)
    {
        if (!processes.IsFirst)
        {
            return ExitCodes.Done;
        }
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
