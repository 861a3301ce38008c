namespace TrainServe.Server.Contracts;

internal sealed record AdminModelList(IReadOnlyList<AdminModel> Models, IReadOnlyDictionary<string, string> Aliases, IReadOnlyList<string> Available);

/// <param name="SystemFingerprint">The version.</param>
/// <param name="InFlight">Answers that are being made.</param>
internal sealed record AdminModel(string Id, string Precision, string SystemFingerprint, int InFlight, int Running, int Waiting, string Directory);
