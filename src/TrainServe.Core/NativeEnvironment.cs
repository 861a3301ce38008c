using System.Runtime.InteropServices;

namespace TrainServe.Core;

/// <summary>Variables that native libraries read: .NET keeps its own copy of the environment, which they do not see.</summary>
public static partial class NativeEnvironment
{
    /// <summary>Sets a variable for libraries that are loaded later, unless the user has set it.</summary>
    public static void SetDefault(string name, string value)
    {
        if (Environment.GetEnvironmentVariable(name) is not null)
        {
            return;
        }
        if (OperatingSystem.IsWindows())
        {
            Environment.SetEnvironmentVariable(name, value);
            return;
        }
        const int keepWhatIsThere = 0;
        _ = SetVariable(name, value, keepWhatIsThere);
    }

    [LibraryImport("libc", EntryPoint = "setenv", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetVariable(string name, string value, int overwrite);
}
