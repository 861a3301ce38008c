using System.CommandLine;

namespace TrainServe.Cli.Commands;

/// <summary><c>trainserve bench</c>: how fast this machine is.</summary>
public static class BenchCommand
{
    public static Command Create() => new("bench", "Measures speed on this machine.") { BenchTrainCommand.Create(), BenchEngineCommand.Create(), BenchServeCommand.Create(), BenchMasksCommand.Create() };
}
