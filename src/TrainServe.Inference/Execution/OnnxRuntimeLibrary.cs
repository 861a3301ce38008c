using Microsoft.ML.OnnxRuntime;
using TrainServe.Core;

namespace TrainServe.Inference.Execution;

/// <summary>The native library. Whoever opens a session comes by here first.</summary>
public static class OnnxRuntimeLibrary
{
    // ONNX Runtime's own builds report their use to Microsoft over HTTPS unless told not to. What a model is asked is nobody else's business.
    private static readonly Lazy<OrtEnv> Loaded = new(() =>
    {
        NativeEnvironment.SetDefault("ORT_DISABLE_TELEMETRY", "1");
        var environment = OrtEnv.Instance();
        environment.DisableTelemetryEvents();
        return environment;
    });

    public static string Version => Loaded.Value.GetVersionString();

    /// <summary>Loads it, with its telemetry off.</summary>
    internal static void Load() => _ = Loaded.Value;
}
