using Spectre.Console;
using TrainServe.Training.Loops;

namespace TrainServe.Cli.Display;

/// <summary>Chooses how a run is shown: live on a terminal, plain lines elsewhere.</summary>
internal static class TrainingDisplays
{
    /// <summary>Runs with a display, which is closed at the end.</summary>
    public static int Run(Func<ITrainingDisplay, int> run)
    {
        if (Console.IsOutputRedirected || !AnsiConsole.Profile.Capabilities.Interactive)
        {
            using var plain = new PlainTrainingDisplay(Console.Out, TimeProvider.System);
            return run(plain);
        }
        return AnsiConsole.Live(new Text("")).Start(context =>
        {
            using var live = new LiveTrainingDisplay(context);
            return run(live);
        });
    }
}
