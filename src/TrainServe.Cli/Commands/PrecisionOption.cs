using System.CommandLine;
using TrainServe.Core.Packaging;
using TrainServe.Inference.Execution;

namespace TrainServe.Cli.Commands;

/// <summary><c>--precision</c> and <c>--device</c> of the verbs that run an export.</summary>
internal static class PrecisionOption
{
    public static Option<string> Create()
    {
        var precision = new Option<string>("--precision") { Description = "Which export to run: auto (on the processor int8 before fp32 before int4, of what is there; on a GPU fp16), fp32, fp16, int8 or int4.", DefaultValueFactory = _ => PrecisionChoice.Auto };
        precision.AcceptOnlyFromAmong([.. PrecisionChoice.Names]);
        return precision;
    }

    public static Option<string> CreateDevice() =>
        new("--device") { Description = "auto (a GPU where there is one that works and the model has an fp16 export, else the processor), cpu, cuda or cuda:N.", DefaultValueFactory = _ => InferenceDevice.Auto };
}
