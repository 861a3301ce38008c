namespace TrainServe.Core.Packaging;

/// <summary>Paths that a file from outside names: they must stay inside the directory that they were found in.</summary>
public static class ContainedPath
{
    /// <summary>The full path of a relative path with forward slashes, after checking it.</summary>
    /// <exception cref="InvalidDataException">The path is absolute, climbs with <c>..</c>, or passes through a symbolic link.</exception>
    public static string Resolve(string directory, string relative, string source)
    {
        if (relative.Length == 0 || Path.IsPathRooted(relative) || relative.Contains('\\') || relative.Contains(':') || relative.Contains('\0')
            || relative.Split('/').Any(part => part is "" or "." or ".."))
        {
            throw new InvalidDataException($"{source} names the path '{relative}', which is not a plain path inside its directory.");
        }
        string current = Path.GetFullPath(directory);
        foreach (string part in relative.Split('/'))
        {
            current = Path.Combine(current, part);
            if (new FileInfo(current).LinkTarget is not null || new DirectoryInfo(current).LinkTarget is not null)
            {
                throw new InvalidDataException($"{source} names the path '{relative}', which passes through a symbolic link.");
            }
        }
        return current;
    }
}
