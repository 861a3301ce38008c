namespace TrainServe.Server.Errors;

/// <summary>The caller's request breaks a rule. The message is shown to them as it is.</summary>
/// <param name="message">A sentence in OpenAI's wording.</param>
/// <param name="param">The field, as <c>messages[0].content</c>; null where it is the request as a whole.</param>
/// <param name="code">OpenAI's code, as <c>invalid_type</c>.</param>
/// <param name="status">Another 4xx than 400.</param>
internal sealed class InvalidRequestException(string message, string? param = null, string? code = null, int status = StatusCodes.Status400BadRequest) : Exception(message)
{
    public string? Param { get; } = param;
    public string? Code { get; } = code;
    public int Status { get; } = status;

    public static InvalidRequestException NotJson(string what) => new($"We could not parse the JSON body of your request: {what}.");

    public static InvalidRequestException Missing(string param) => new($"Missing required parameter: '{param}'.", param, "missing_required_parameter");

    /// <summary>A parameter that this server cannot honour and so refuses rather than ignores.</summary>
    public static InvalidRequestException Unsupported(string param, string why) =>
        new($"Unsupported parameter: '{param}' is not supported by this server: {why}", param, "unsupported_parameter");
}
