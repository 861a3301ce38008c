namespace TrainServe.Core.Data;

/// <summary>Where a record came from; written <c>file:line</c>.</summary>
/// <param name="Path">The file, as the user named it.</param>
/// <param name="Line">The line where the record starts, from 1.</param>
public readonly record struct RecordOrigin(string Path, long Line)
{
    public override string ToString() => $"{Path}:{Line}";
}
