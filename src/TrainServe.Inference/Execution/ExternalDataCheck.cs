using System.Text;
using TrainServe.Core.Packaging;

namespace TrainServe.Inference.Execution;

/// <summary>Looks at every file that a graph names for its weights, before ONNX Runtime opens any.</summary>
/// <remarks>
/// A graph from a stranger could name a file of the host's. Each must be a plain path to a regular file in the graph's own directory: not absolute, no
/// <c>..</c>, through no symbolic link, and with no second name (hard link). Tensors are looked for wherever ONNX allows them.
/// </remarks>
internal static class ExternalDataCheck
{
    private const int MostNested = 64;
    private const long MostGraphBytes = 1L << 30;

    // For each message of onnx.proto the fields that may hold tensors, directly or further down.
    private static readonly Dictionary<string, (int Field, string Message)[]> Nested = new(StringComparer.Ordinal)
    {
        ["Model"] = [(7, "Graph"), (20, "Training"), (25, "Function")],
        ["Training"] = [(1, "Graph"), (2, "Graph")],
        ["Graph"] = [(1, "Node"), (5, "Tensor"), (15, "SparseTensor")],
        ["Function"] = [(7, "Node"), (11, "Attribute")],
        ["Node"] = [(5, "Attribute")],
        ["Attribute"] = [(5, "Tensor"), (6, "Graph"), (10, "Tensor"), (11, "Graph"), (22, "SparseTensor"), (23, "SparseTensor")],
        ["SparseTensor"] = [(1, "Tensor"), (2, "Tensor")],
        ["Tensor"] = [(13, "ExternalData")],
        ["ExternalData"] = [],
    };

    /// <exception cref="FileNotFoundException">The graph, or a file that it names, does not exist.</exception>
    /// <exception cref="InvalidDataException">The graph is no ONNX file, or names a file that it must not.</exception>
    public static void Verify(string graphPath)
    {
        var graph = new FileInfo(graphPath);
        if (!graph.Exists)
        {
            throw new FileNotFoundException($"{graphPath} does not exist.", graphPath);
        }
        if (graph.Length > MostGraphBytes)
        {
            throw new InvalidDataException($"{graphPath} has {graph.Length} bytes; a graph whose weights lie beside it has at most {MostGraphBytes}.");
        }
        var locations = new HashSet<string>(StringComparer.Ordinal);
        try
        {
            Collect(File.ReadAllBytes(graphPath), "Model", locations, depth: 0);
        }
        catch (InvalidDataException error)
        {
            throw new InvalidDataException($"{graphPath} is no ONNX graph: {error.Message}", error);
        }
        string directory = Path.GetDirectoryName(graph.FullName)!;
        foreach (string location in locations)
        {
            RequireOwnFile(ContainedPath.Resolve(directory, location, graphPath), graphPath);
        }
    }

    private static void Collect(ReadOnlySpan<byte> message, string type, HashSet<string> locations, int depth)
    {
        if (depth > MostNested)
        {
            throw new InvalidDataException($"Its parts are nested more than {MostNested} deep.");
        }
        if (type == "ExternalData")
        {
            AddLocation(message, locations);
            return;
        }
        var fields = new ProtobufFields(message);
        while (fields.Next())
        {
            foreach (var (field, nested) in Nested[type])
            {
                if (field == fields.Number)
                {
                    Collect(fields.Content, nested, locations, depth + 1);
                }
            }
        }
    }

    // A key and a value; repeated fields are read as protobuf does it, so that the last one counts for us as for ONNX Runtime.
    private static void AddLocation(ReadOnlySpan<byte> entry, HashSet<string> locations)
    {
        string key = "", value = "";
        var fields = new ProtobufFields(entry);
        while (fields.Next())
        {
            (key, value) = fields.Number switch
            {
                1 => (Encoding.UTF8.GetString(fields.Content), value),
                2 => (key, Encoding.UTF8.GetString(fields.Content)),
                _ => (key, value),
            };
        }
        if (key == "location")
        {
            locations.Add(value);
        }
    }

    private static void RequireOwnFile(string path, string graphPath)
    {
        var file = new FileInfo(path);
        if (!file.Exists)
        {
            throw new FileNotFoundException($"{path} does not exist; {graphPath} keeps weights in it.", path);
        }
        if (HardLinks.Count(path) > 1)
        {
            throw new InvalidDataException($"{path}, which {graphPath} keeps weights in, has a second name (a hard link); copy it.");
        }
    }
}
