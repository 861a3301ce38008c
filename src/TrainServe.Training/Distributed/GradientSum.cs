using System.Runtime.InteropServices;
using TorchSharp;
using TorchSharp.Modules;
using TrainServe.Model.Kernels;
using static TorchSharp.torch;

namespace TrainServe.Training.Distributed;

/// <summary>Adds the gradients of all processes: large ones where they lie, and as soon as they are there; small ones together. On GPUs, where NCCL adds, those of a block are one message.</summary>
public sealed class GradientSum
{
    // A message costs the same whether it holds one number or some thousand.
    private const int Small = 1 << 14;
    private readonly IProcessGroup _processes;
    private readonly IReadOnlyList<Parameter> _parameters;
    private readonly HashSet<Parameter> _begun = new(ReferenceEqualityComparer.Instance);
    private float[] _together = [];

    /// <param name="processes">That add.</param>
    /// <param name="parameters">All weights, in the same order everywhere.</param>
    public GradientSum(IProcessGroup processes, IReadOnlyList<Parameter> parameters) => (_processes, _parameters) = (processes, parameters);

    /// <summary>Begins with some whose gradients will not change any more, while others are still computed.</summary>
    public void Begin(IEnumerable<Parameter> parameters)
    {
        using var scope = NewDisposeScope();
        List<Tensor> onGpu = [];
        foreach (var parameter in parameters)
        {
            if (_begun.Contains(parameter) || parameter.grad is not { } gradient)
            {
                continue;
            }
            if (_processes.OnGpu?.Takes(gradient) == true)
            {
                onGpu.Add(gradient);
                _begun.Add(parameter);
            }
            else if (IsInPlace(gradient))
            {
                Begin(gradient);
                _begun.Add(parameter);
            }
        }
        if (onGpu.Count > 0)
        {
            _processes.OnGpu!.Begin(onGpu);
        }
    }

    /// <summary>Adds the rest and waits for all.</summary>
    public void Complete()
    {
        using var noGradient = no_grad();
        using var scope = NewDisposeScope();
        Begin(_parameters);
        Tensor[] rest = [.. _parameters.Where(parameter => !_begun.Contains(parameter)).Select(parameter => parameter.grad).OfType<Tensor>()];
        int count = checked((int)rest.Sum(gradient => gradient.numel()));
        if (_together.Length < count)
        {
            _together = GC.AllocateUninitializedArray<float>(count, pinned: true);
        }
        Gather(rest);
        _processes.BeginSum(Marshal.UnsafeAddrOfPinnedArrayElement(_together, 0), count);
        _processes.CompleteSums();
        _processes.OnGpu?.Complete();
        Scatter(rest);
        _begun.Clear();
    }

    /// <summary>The same where a process may have had nothing to compute: gradients that others have and it has not count as zeros.</summary>
    public void CompleteSome()
    {
        using (NewDisposeScope())
        {
            double[] isThere = [.. _parameters.Select(parameter => parameter.grad is null ? 0.0 : 1)];
            _processes.Max(isThere);
            foreach (var (parameter, isSomewhere) in _parameters.Zip(isThere))
            {
                if (isSomewhere > 0 && parameter.grad is null)
                {
                    parameter.grad = zeros_like(parameter);
                }
            }
        }
        Complete();
    }

    private static bool IsInPlace(Tensor gradient) => gradient.numel() >= Small && gradient.device.type == DeviceType.CPU && gradient.dtype == ScalarType.Float32 && gradient.is_contiguous();

    private unsafe void Begin(Tensor gradient) => _processes.BeginSum((nint)Lanes.Pointer(gradient), checked((int)gradient.numel()));

    private void Gather(Tensor[] gradients)
    {
        int at = 0;
        foreach (var gradient in gradients)
        {
            int count = (int)gradient.numel();
            MemoryMarshal.Cast<byte, float>(gradient.to(ScalarType.Float32).cpu().contiguous().bytes).CopyTo(_together.AsSpan(at, count));
            at += count;
        }
    }

    private void Scatter(Tensor[] gradients)
    {
        int at = 0;
        foreach (var gradient in gradients)
        {
            int count = (int)gradient.numel();
            var sums = empty(gradient.shape, ScalarType.Float32);
            _together.AsSpan(at, count).CopyTo(MemoryMarshal.Cast<byte, float>(sums.bytes));
            gradient.copy_(sums);
            at += count;
        }
    }
}
