using System.Runtime.InteropServices;

namespace TrainServe.Training.Checkpointing;

/// <summary>SIGINT, SIGTERM and SIGUSR1 as a request to save and stop. A second one ends the process at once, with code 130.</summary>
/// <remarks>mpirun passes SIGUSR1 on at once, and SIGTERM only shortly before it kills.</remarks>
public sealed partial class InterruptSignal : IDisposable
{
    private const int ExitCode = 130;
    private static readonly PosixSignal User1 = (PosixSignal)(OperatingSystem.IsMacOS() ? 30 : 10);
    private readonly List<PosixSignalRegistration> _registrations = [];
    private readonly CancellationTokenSource _requested = new();

    /// <param name="notice">Is called on the first signal.</param>
    public InterruptSignal(Action? notice = null)
    {
        foreach (var signal in (ReadOnlySpan<PosixSignal>)[PosixSignal.SIGINT, PosixSignal.SIGTERM, .. OperatingSystem.IsWindows() ? [] : new[] { User1 }])
        {
            _registrations.Add(PosixSignalRegistration.Create(signal, context =>
            {
                if (_requested.IsCancellationRequested)
                {
                    ExitAtOnce();
                }
                context.Cancel = true;
                _requested.Cancel();
                notice?.Invoke();
            }));
        }
    }

    public CancellationToken Requested => _requested.Token;

    public void Dispose()
    {
        _registrations.ForEach(registration => registration.Dispose());
        _requested.Dispose();
    }

    private static void ExitAtOnce()
    {
        if (OperatingSystem.IsWindows())
        {
            Environment.Exit(ExitCode);
        }
        else
        {
            // Environment.Exit would wait for handlers, and those for the step that runs.
            ExitNow(ExitCode);
        }
    }

    [LibraryImport("libc", EntryPoint = "_exit")]
    private static partial void ExitNow(int code);
}
