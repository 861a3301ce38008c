using System.CommandLine;
using TrainServe.Core.Packaging;

namespace TrainServe.Cli.Commands;

/// <summary><c>--precision</c> of the verbs that run a model.</summary>
internal static class PrecisionOption
{
    public static Option<string> Create()
    {
        var precision = new Option<string>("--precision") { Description = "Which export to run: auto (int8 before fp32 before int4, of what is there), fp32, int8 or int4.", DefaultValueFactory = _ => PrecisionChoice.Auto };
        precision.AcceptOnlyFromAmong(PrecisionChoice.Auto, "fp32", "int8", "int4");
        return precision;
    }
}
