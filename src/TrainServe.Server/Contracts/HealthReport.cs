namespace TrainServe.Server.Contracts;

/// <param name="Status">ready, loading, no_models, draining; for liveness live or stalled.</param>
internal sealed record HealthReport(string Status, IReadOnlyList<ModelHealth> Models);

/// <param name="Running">Sequences in a slot.</param>
/// <param name="Waiting">Sequences in the queue.</param>
internal sealed record ModelHealth(string Id, string Precision, int Slots, int Running, int Waiting);
