using System.Globalization;
using System.Runtime.InteropServices;
using TorchSharp;
using TrainServe.Core;

namespace TrainServe.Model;

/// <summary>Starts libtorch the way that every host here wants it. Call it before anything else touches a tensor.</summary>
public static class TorchRuntime
{
    private static readonly Lock Gate = new();
    private static bool _started;

    /// <summary>Loads libtorch and sets the number of threads that one operation uses.</summary>
    /// <param name="threads">0 for one a core.</param>
    /// <remarks>
    /// libtorch's OpenMP threads spin while they wait, by default: beside another pool in the process (ONNX Runtime has one), a run fell from 139 steps a
    /// minute to 8. They sleep here, unless OMP_WAIT_POLICY or GOMP_SPINCOUNT say otherwise. OpenMP reads that once, when libtorch is loaded.
    /// </remarks>
    /// <exception cref="ArgumentOutOfRangeException">The number of threads is negative.</exception>
    /// <exception cref="DllNotFoundException">libtorch cannot be loaded here; the message says why.</exception>
    public static void Initialize(int threads = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(threads);
        lock (Gate)
        {
            if (!_started)
            {
                LetThreadsSleep();
                Load();
                _started = true;
            }
            // libtorch counts the machine's cores; a container may have fewer.
            int wanted = threads > 0 ? threads : Math.Min(torch.get_num_threads(), Environment.ProcessorCount);
            if (torch.get_num_threads() != wanted)
            {
                torch.set_num_threads(wanted);
            }
        }
    }

    /// <summary>Threads that one operation uses.</summary>
    public static int Threads => torch.get_num_threads();

    private static void Load()
    {
        try
        {
            // The package's own file beside the program; loading it says why it fails, where TorchSharp only says that something is missing.
            if (OperatingSystem.IsLinux() && Path.Combine(AppContext.BaseDirectory, "libLibTorchSharp.so") is var library && File.Exists(library))
            {
                NativeLibrary.Load(library);
            }
            torch.InitializeDeviceType(DeviceType.CPU);
        }
        catch (Exception error) when (error is DllNotFoundException or TypeInitializationException or NotSupportedException or BadImageFormatException)
        {
            throw new DllNotFoundException(string.Create(CultureInfo.InvariantCulture, $"libtorch cannot be loaded: {(error.InnerException ?? error).Message}"), error);
        }
    }

    private static void LetThreadsSleep()
    {
        if (OperatingSystem.IsWindows() || Environment.GetEnvironmentVariable("GOMP_SPINCOUNT") is not null)
        {
            return;
        }
        NativeEnvironment.SetDefault("OMP_WAIT_POLICY", "PASSIVE");
    }
}
