using System.IO.Compression;
using Xunit;

namespace TrainServe.TestSupport;

/// <summary>Models, golden numbers and corpora that are kept beside the repository, in <c>shared/data</c> of a directory above it.</summary>
/// <remarks>They are not part of a clone. A test that needs one is skipped, and says why, where there is none.</remarks>
public static class SharedData
{
    /// <summary>Full path of a file, or the running test is skipped.</summary>
    /// <param name="relative">Below <c>shared/data</c>, with forward slashes: <c>models/stories260K/stories260K.bin</c>.</param>
    public static string File(string relative)
    {
        string? root = Root();
        Assert.SkipWhen(root is null, $"This test needs {relative} of shared/data, and no directory above {RepositoryRoot.Directory} has shared/data.");
        string path = Path.Combine(root!, relative);
        Assert.SkipUnless(System.IO.File.Exists(path), $"This test needs {path}, which does not exist.");
        return path;
    }

    /// <summary>Full path of a file of another folder of <c>shared</c>, or the running test is skipped.</summary>
    /// <param name="relative">Below <c>shared</c>, with forward slashes: <c>contract/openai-api.yml</c>.</param>
    public static string Beside(string relative)
    {
        string? path = TryBeside(relative);
        Assert.SkipWhen(path is null, $"This test needs {relative} of shared, and no directory above {RepositoryRoot.Directory} has it.");
        return path!;
    }

    /// <summary>The same, or null.</summary>
    public static string? TryBeside(string relative) =>
        Root() is { } data && Path.Combine(Path.GetDirectoryName(data)!, relative) is var path && System.IO.File.Exists(path) ? path : null;

    /// <summary>A file's text, unpacked where its name ends in .gz, or the running test is skipped.</summary>
    public static string ReadText(string relative)
    {
        using var file = System.IO.File.OpenRead(File(relative));
        using Stream content = relative.EndsWith(".gz", StringComparison.Ordinal) ? new GZipStream(file, CompressionMode.Decompress) : file;
        using var reader = new StreamReader(content);
        return reader.ReadToEnd();
    }

    private static string? Root()
    {
        for (var above = new DirectoryInfo(RepositoryRoot.Directory).Parent; above is not null; above = above.Parent)
        {
            string candidate = Path.Combine(above.FullName, "shared", "data");
            if (Directory.Exists(candidate))
            {
                return candidate;
            }
        }
        return null;
    }
}
