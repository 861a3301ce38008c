namespace TrainServe.Core.Data;

/// <summary>A text to pretrain on.</summary>
public sealed record Document(string Text, RecordOrigin Origin);
