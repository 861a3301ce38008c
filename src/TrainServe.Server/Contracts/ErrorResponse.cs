namespace TrainServe.Server.Contracts;

/// <summary>The body of every answer that is not a success.</summary>
internal sealed record ErrorResponse(ErrorDetail Error);

/// <param name="Message">For people.</param>
/// <param name="Type">invalid_request_error, server_error...</param>
/// <param name="Param">The field at fault, or null.</param>
/// <param name="Code">What went wrong, for programs, or null.</param>
internal sealed record ErrorDetail(string Message, string Type, string? Param, string? Code);
