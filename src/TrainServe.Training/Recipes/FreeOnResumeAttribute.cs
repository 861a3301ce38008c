namespace TrainServe.Training.Recipes;

/// <summary>A key that changes none of a run's numbers, and so may be another one when the run is resumed.</summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class FreeOnResumeAttribute : Attribute;
