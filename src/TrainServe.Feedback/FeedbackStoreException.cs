namespace TrainServe.Feedback;

/// <summary>The store cannot be used now: the disk is full, a file is damaged or locked, a database does not answer.</summary>
public sealed class FeedbackStoreException(string message, Exception fault) : IOException(message, fault);
