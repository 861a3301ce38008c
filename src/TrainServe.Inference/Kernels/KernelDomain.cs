using System.Runtime.InteropServices;
using Microsoft.ML.OnnxRuntime;
using TrainServe.Core.Packaging;

namespace TrainServe.Inference.Kernels;

/// <summary>TrainServe's own operators, which quantized graphs are made of.</summary>
internal static unsafe class KernelDomain
{
    private static readonly Lazy<nint> Domain = new(Create);
    private static readonly Lock Gate = new();
    private static volatile bool _isKnown;

    /// <summary>Opens a session that has the operators.</summary>
    /// <remarks>The runtime notes the domain with the first session that has it, and fails when two try at once.</remarks>
    public static InferenceSession Open(SessionOptions options, Func<SessionOptions, InferenceSession> open)
    {
        OrtApi.AddDomain(options.DangerousGetHandle(), Domain.Value);
        if (_isKnown)
        {
            return open(options);
        }
        lock (Gate)
        {
            var session = open(options);
            _isKnown = true;
            return session;
        }
    }

    private static nint Create()
    {
        nint domain = OrtApi.CreateDomain((byte*)Marshal.StringToCoTaskMemUTF8(GraphNames.KernelDomain));
        foreach (var definition in (OperatorDefinition[])[QuantizeRows.Definition, AddNormQuantizeRows.Definition, SwiGluQuantizeRows.Definition, CachedAttention.Definition])
        {
            OrtApi.AddOperator(domain, CustomOperator.Create(definition));
        }
        return domain;
    }
}
