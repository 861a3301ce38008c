using System.Runtime.InteropServices;

namespace TrainServe.Training.Checkpointing;

/// <summary>SIGINT and SIGTERM as a request to save and stop. A second one ends the process at once, with code 130.</summary>
public sealed partial class InterruptSignal : IDisposable
{
    private const int ExitCode = 130;
    private readonly List<PosixSignalRegistration> _registrations = [];
    private readonly CancellationTokenSource _requested = new();

    /// <param name="notice">Is called on the first signal.</param>
    public InterruptSignal(Action? notice = null)
    {
        foreach (var signal in (ReadOnlySpan<PosixSignal>)[PosixSignal.SIGINT, PosixSignal.SIGTERM])
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
