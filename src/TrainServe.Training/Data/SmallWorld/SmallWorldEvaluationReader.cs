using TrainServe.Core.IO;

namespace TrainServe.Training.Data.SmallWorld;

/// <summary>Reads an evaluation file.</summary>
public static class SmallWorldEvaluationReader
{
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">A line is not a question with its answers; the message names file and line.</exception>
    public static IReadOnlyList<EvaluationRecord> Read(string path)
    {
        if (!File.Exists(path))
        {
            throw new FileNotFoundException($"{path} does not exist.", path);
        }
        return [.. File.ReadLines(path).Select((line, index) => JsonFile.Parse<EvaluationRecord>(System.Text.Encoding.UTF8.GetBytes(line), $"{path}:{index + 1}", JsonFile.SnakeCaseLine))];
    }
}
