using System.Runtime.InteropServices;
using TrainServe.Inference.Execution;

namespace TrainServe.Inference.Tests.Execution;

public sealed partial class OnnxRuntimeLibraryTests
{
    [Fact]
    public void The_library_is_told_to_report_nothing_to_anybody()
    {
        Assert.NotEmpty(OnnxRuntimeLibrary.Version);
        Assert.SkipWhen(OperatingSystem.IsWindows(), "the C environment is looked at, which Windows has elsewhere");
        Assert.Equal("1", Marshal.PtrToStringUTF8(Variable("ORT_DISABLE_TELEMETRY")));
    }

    [LibraryImport("libc", EntryPoint = "getenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint Variable(string name);
}
