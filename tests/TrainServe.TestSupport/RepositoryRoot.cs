namespace TrainServe.TestSupport;

/// <summary>The directory that holds <c>TrainServe.sln</c>.</summary>
public static class RepositoryRoot
{
    /// <summary>Full path of the nearest such directory above the running test.</summary>
    public static string Directory { get; } = Find();

    /// <summary>Full path of a file of the repository.</summary>
    public static string PathOf(string relative) => Path.Combine(Directory, relative);

    private static string Find()
    {
        for (var directory = new DirectoryInfo(AppContext.BaseDirectory); directory is not null; directory = directory.Parent)
        {
            if (File.Exists(Path.Combine(directory.FullName, "TrainServe.sln")))
            {
                return directory.FullName;
            }
        }
        throw new DirectoryNotFoundException($"No directory above {AppContext.BaseDirectory} holds TrainServe.sln.");
    }
}
