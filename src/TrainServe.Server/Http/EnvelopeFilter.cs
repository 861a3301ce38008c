namespace TrainServe.Server.Http;

/// <summary>Puts request ids and error bodies around everything, the host's own filters and routing included.</summary>
internal sealed class EnvelopeFilter : IStartupFilter
{
    public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
    {
        app.UseMiddleware<RequestIds>();
        app.UseStatusCodePages(status => ApiError
            .OfStatus(status.HttpContext.Response.StatusCode, status.HttpContext.Request.Method, status.HttpContext.Request.Path)
            .WriteAsync(status.HttpContext));
        app.UseExceptionHandler(_ => { });
        next(app);
    };
}
