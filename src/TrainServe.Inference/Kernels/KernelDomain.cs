using System.Runtime.InteropServices;
using Microsoft.ML.OnnxRuntime;
using TrainServe.Core.Packaging;

namespace TrainServe.Inference.Kernels;

/// <summary>TrainServe's own operators, which quantized graphs are made of.</summary>
internal static unsafe class KernelDomain
{
    private static readonly Lazy<nint> Domain = new(Create);

    /// <summary>Makes the operators known to a session that is to be opened.</summary>
    public static void AddTo(SessionOptions options) => OrtApi.AddDomain(options.DangerousGetHandle(), Domain.Value);

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
