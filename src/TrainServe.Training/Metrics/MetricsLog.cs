using System.Text.Json;
using System.Text.Json.Nodes;
using TrainServe.Core.IO;

namespace TrainServe.Training.Metrics;

/// <summary>A run's numbers: one JSON object a line in <c>metrics.jsonl</c>, and the same scalars for TensorBoard.</summary>
public sealed class MetricsLog : IDisposable
{
    public const string FileName = "metrics.jsonl", TensorBoardDirectory = "tensorboard";
    private readonly StreamWriter _lines;
    private readonly TensorBoardWriter _events;

    /// <param name="directory">Of the run.</param>
    /// <param name="time">For TensorBoard's stamps.</param>
    /// <param name="stepsDone">Steps of the checkpoint that the run goes on from. Lines of later steps are removed, since they will be written again; so is half a line.</param>
    public MetricsLog(string directory, TimeProvider time, long stepsDone = 0)
    {
        Directory.CreateDirectory(directory);
        string path = Path.Combine(directory, FileName);
        KeepUntil(path, stepsDone);
        _lines = new StreamWriter(new FileStream(path, FileMode.Append, FileAccess.Write, FileShare.ReadWrite));
        _events = new TensorBoardWriter(Path.Combine(directory, TensorBoardDirectory), time, stepsDone + 1);
    }

    /// <summary>Writes a line and flushes it.</summary>
    /// <param name="kind">train, validation, skip...</param>
    /// <param name="step">Steps done.</param>
    /// <param name="scalars">By name; a number that is not finite is written as null.</param>
    /// <param name="text">What else the line says.</param>
    public void Write(string kind, long step, IReadOnlyDictionary<string, double> scalars, IReadOnlyDictionary<string, string>? text = null)
    {
        var line = new JsonObject { ["event"] = kind, ["step"] = step };
        foreach (var (name, value) in scalars)
        {
            line[name] = double.IsFinite(value) ? JsonValue.Create(value) : null;
            _events.Scalar($"{kind}/{name}", value, step);
        }
        foreach (var (name, value) in text ?? new Dictionary<string, string>(StringComparer.Ordinal))
        {
            line[name] = value;
        }
        _lines.WriteLine(line.ToJsonString(JsonFile.SnakeCaseLine));
        _lines.Flush();
        _events.Flush();
    }

    public void Dispose()
    {
        _lines.Dispose();
        _events.Dispose();
    }

    private static void KeepUntil(string path, long stepsDone)
    {
        if (!File.Exists(path))
        {
            return;
        }
        var kept = new List<string>();
        foreach (string line in File.ReadLines(path))
        {
            if (StepOf(line) is { } step && step <= stepsDone)
            {
                kept.Add(line);
            }
        }
        DurableFile.Write(path, System.Text.Encoding.UTF8.GetBytes(string.Concat(kept.Select(line => line + "\n"))));
    }

    private static long? StepOf(string line)
    {
        try
        {
            using var document = JsonDocument.Parse(line);
            return document.RootElement.ValueKind == JsonValueKind.Object && document.RootElement.TryGetProperty("step", out var step) && step.TryGetInt64(out long number) ? number : null;
        }
        catch (JsonException)
        {
            // The process was ended in the middle of a line.
            return null;
        }
    }
}
