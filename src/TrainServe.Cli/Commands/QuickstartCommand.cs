using System.CommandLine;
using System.CommandLine.Parsing;
using TrainServe.Cli.Quickstart;
using TrainServe.Training.Checkpointing;

namespace TrainServe.Cli.Commands;

/// <summary><c>trainserve quickstart</c>: from nothing to a model that answers, in minutes.</summary>
public static class QuickstartCommand
{
    public static Command Create()
    {
        var minutes = new Option<double>("--minutes") { Description = "About how long it may take on two cores.", DefaultValueFactory = _ => 12 };
        var data = new Option<string?>("--data") { Description = "Your own text (.txt or .jsonl, also .gz, or a directory of them) in place of the small world." };
        var output = new Option<string>("--output") { Description = "The directory for everything.", DefaultValueFactory = _ => "quickstart" };
        var serve = new Option<bool>("--serve") { Description = "Start the server with the model at the end." };
        var port = new Option<int>("--port") { Description = "Where the server listens, on 127.0.0.1.", DefaultValueFactory = _ => ServerProcess.DefaultPort };
        var resume = new Option<bool>("--resume") { Description = "Go on where a quickstart in the same directory stopped." };
        var seed = new Option<ulong>("--seed") { Description = "Decides data and weights.", DefaultValueFactory = _ => 1 };
        var align = new Option<AlignmentMethod?>("--align")
        {
            Description = "Align the model with the small world's preferences afterwards, which takes two thirds of the minutes more: ppo (the default), or dpo.",
            Arity = ArgumentArity.ZeroOrOne,
            CustomParser = result => result.Tokens switch
            {
                [] => AlignmentMethod.Ppo,
                [var token] when Enum.TryParse<AlignmentMethod>(token.Value, ignoreCase: true, out var method) && Enum.IsDefined(method) && !char.IsAsciiDigit(token.Value[0]) => method,
                _ => Refuse(result, "--align takes ppo or dpo."),
            },
        };
        minutes.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<double>() is not (> 0 and <= 10_000))
            {
                result.AddError("--minutes must be above 0 and at most 10000.");
            }
        });
        port.Validators.Add(result =>
        {
            if (result.GetValueOrDefault<int>() is not (> 0 and < 65536))
            {
                result.AddError("--port must be from 1 to 65535.");
            }
        });
        var command = new Command("quickstart", "Data, tokenizer, pretraining, fine-tuning, export, proof and evaluation in one go.") { minutes, data, output, serve, port, resume, seed, align };
        command.Validators.Add(result =>
        {
            if (result.GetResult(align) is not null && result.GetResult(data) is not null)
            {
                result.AddError("--align needs the small world, which has preferences; leave --data out.");
            }
        });
        command.SetAction(async (arguments, _) =>
        {
            var plan = new QuickstartPlan { Minutes = arguments.GetValue(minutes), Data = arguments.GetValue(data), Seed = arguments.GetValue(seed), Align = arguments.GetValue(align) };
            string directory = arguments.GetRequiredValue(output);
            if (arguments.GetValue(serve))
            {
                ServerProcess.RequireReady(arguments.GetValue(port));
            }
            using var signal = new InterruptSignal(() => Console.Error.WriteLine("Stopping; what is done is kept. Once more ends at once."));
            var report = await new QuickstartRun(plan, directory, Console.WriteLine).RunAsync(arguments.GetValue(resume), signal.Requested);
            if (report is null)
            {
                Console.WriteLine($"Stopped. Go on with: trainserve quickstart --output {directory} --resume, and the options that it was begun with");
                return ExitCodes.Interrupted;
            }
            foreach (string line in QuickstartText.Ending(report, arguments.GetValue(port)))
            {
                Console.WriteLine(line);
            }
            return arguments.GetValue(serve) ? await ServerProcess.RunAsync(Path.GetDirectoryName(report.Model)!, arguments.GetValue(port), signal.Requested) : ExitCodes.Done;
        });
        return command;
    }

    private static AlignmentMethod? Refuse(ArgumentResult result, string why)
    {
        result.AddError(why);
        return null;
    }
}
