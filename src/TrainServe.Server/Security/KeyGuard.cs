using Microsoft.AspNetCore.Http.Features;

namespace TrainServe.Server.Security;

/// <summary>Asks every caller for a key, but on the health routes: those of load balancers, which have none.</summary>
internal sealed class KeyGuard(RequestDelegate next, KeyRing keys)
{
    private const string Bearer = "Bearer ";

    public Task InvokeAsync(HttpContext context)
    {
        var needed = context.GetEndpoint()?.Metadata.GetMetadata<AccessMetadata>()?.Scope
            ?? (context.Request.Path.StartsWithSegments("/admin", StringComparison.OrdinalIgnoreCase) ? KeyScopes.Admin : KeyScopes.Chat);
        if (needed == KeyScopes.None)
        {
            return next(context);
        }
        if (keys.IsEmpty)
        {
            return needed == KeyScopes.Admin
                ? throw new InvalidRequestException("The admin routes need a key with the scope admin, and this server has no keys.", status: StatusCodes.Status403Forbidden)
                : next(context);
        }
        string? presented = Presented(context.Request.Headers);
        if (presented is null)
        {
            throw Unauthorized("You didn't provide an API key. Send it in the header 'Authorization: Bearer KEY' or 'x-api-key: KEY'.", code: null);
        }
        var key = keys.Find(presented) ?? throw Unauthorized("Incorrect API key provided.", "invalid_api_key");
        if (!key.Scopes.HasFlag(needed))
        {
            throw new InvalidRequestException($"The key '{key.Name}' lacks the scope '{needed.ToString().ToLowerInvariant()}', which this route needs.", status: StatusCodes.Status403Forbidden);
        }
        context.Features.Set<ICallerFeature>(new Caller(key));
        return next(context);
    }

    private static string? Presented(IHeaderDictionary headers)
    {
        string authorization = headers.Authorization.ToString();
        return authorization.StartsWith(Bearer, StringComparison.OrdinalIgnoreCase) ? authorization[Bearer.Length..].Trim()
            : headers["x-api-key"].ToString() is { Length: > 0 } key ? key
            : null;
    }

    private static InvalidRequestException Unauthorized(string message, string? code) => new(message, code: code, status: StatusCodes.Status401Unauthorized);

    private sealed record Caller(ApiKey Key) : ICallerFeature;
}

/// <summary>Whose request it is, where the server asks for keys.</summary>
internal interface ICallerFeature
{
    ApiKey Key { get; }
}

/// <param name="Scope">What a caller of the route needs; <see cref="KeyScopes.None"/> for nobody to be asked.</param>
internal sealed record AccessMetadata(KeyScopes Scope);

internal static class Access
{
    /// <summary>Whose request it is; null where the server asks for no keys.</summary>
    public static ApiKey? Caller(this IFeatureCollection features) => features.Get<ICallerFeature>()?.Key;

    public static RouteHandlerBuilder Open(this RouteHandlerBuilder route) => route.WithMetadata(new AccessMetadata(KeyScopes.None));
}
