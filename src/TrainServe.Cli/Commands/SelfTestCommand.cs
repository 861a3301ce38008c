using System.CommandLine;
using TrainServe.Model;
using TrainServe.Training.SelfTesting;

namespace TrainServe.Cli.Commands;

/// <summary><c>trainserve selftest</c>: whether alignment does on this machine what it must.</summary>
public static class SelfTestCommand
{
    public static Command Create()
    {
        var command = new Command("selftest", "Checks the details that alignment depends on, on a toy model, in under two minutes.");
        command.SetAction((_, stop) =>
        {
            TorchRuntime.Initialize();
            string directory = Directory.CreateTempSubdirectory("trainserve-selftest-").FullName;
            int failed = 0;
            try
            {
                foreach (var result in new SelfTest(directory, TimeProvider.System).Run(stop))
                {
                    failed += result.Failure is null ? 0 : 1;
                    Console.WriteLine($"{(result.Failure is null ? "ok    " : "FAILED")} {result.Name} ({result.Seconds:F1} s){(result.Failure is null ? "" : $": {result.Failure}")}");
                }
            }
            finally
            {
                Directory.Delete(directory, recursive: true);
            }
            return Task.FromResult(failed == 0 ? ExitCodes.Done : ExitCodes.Failed);
        });
        return command;
    }
}
