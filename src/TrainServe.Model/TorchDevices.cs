using System.Globalization;
using TorchSharp;
using static TorchSharp.torch;

namespace TrainServe.Model;

/// <summary>Finds the device that a user names.</summary>
public static class TorchDevices
{
#if CUDA
    private static bool HasCuda => true;
#else
    private static bool HasCuda => false;
#endif

    /// <param name="name">auto, cpu, cuda, or cuda:N. auto is a GPU where this build and this machine have one, the processor otherwise.</param>
    /// <param name="process">This process's number on its machine: of several processes each takes the next GPU, where no number is named.</param>
    /// <exception cref="ArgumentException">There is no such kind of device.</exception>
    /// <exception cref="InvalidDataException">The GPU cannot be used; the message says why.</exception>
    public static Device Open(string name, int process = 0)
    {
        var (kind, index) = Parse(name);
        int gpus = kind == "cpu" || !HasCuda ? 0 : cuda.is_available() ? cuda.device_count() : 0;
        if (kind == "cpu" || (kind == "auto" && gpus == 0))
        {
            return CPU;
        }
        if (!HasCuda)
        {
            throw new InvalidDataException($"--device {name}: this build computes on the processor; build it with -p:Accelerator=cuda for an NVIDIA GPU, or leave --device out.");
        }
        if (gpus == 0)
        {
            throw new InvalidDataException($"--device {name}: no NVIDIA GPU is to be seen here; nvidia-smi says why, or leave --device out.");
        }
        return (index ?? process % gpus) is var chosen && chosen < gpus ? new Device(DeviceType.CUDA, chosen)
            : throw new InvalidDataException($"--device {name}: the last of the GPUs here is cuda:{gpus - 1}.");
    }

    private static (string Kind, int? Index) Parse(string name)
    {
        string[] parts = name.Split(':');
        if (parts is ["auto" or "cpu" or "cuda"])
        {
            return (parts[0], null);
        }
        return parts is ["cuda", _] && int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out int index) ? ("cuda", index)
            : throw new ArgumentException($"--device is {name}; it must be auto, cpu, cuda or cuda:N.", nameof(name));
    }
}
