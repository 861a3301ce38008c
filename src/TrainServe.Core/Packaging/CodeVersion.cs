using System.Reflection;

namespace TrainServe.Core.Packaging;

/// <summary>The version of this code, with the commit where the build knew it.</summary>
public static class CodeVersion
{
    public static string Current { get; } =
        typeof(CodeVersion).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown";
}
