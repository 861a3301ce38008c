using System.Text;
using System.Text.Encodings.Web;
using TrainServe.Server.Requests;

namespace TrainServe.Server.Documentation;

/// <summary>The page at <c>/docs</c>: every parameter of every route and what becomes of it, made from the tables that read them.</summary>
internal static class ParameterPage
{
    /// <summary>The tables in the order of the page.</summary>
    public static IReadOnlyList<ParameterTable> Tables { get; } =
    [
        ChatParameters.Table, CompletionParameters.Table, ResponsesParameters.Table, EmbeddingsRequest.Table, ScoreRequest.Table, MessagesParameters.Table, MessagesParameters.CountTable, TokenizeRequest.Table, DetokenizeRequest.Table, ApplyTemplateRequest.Table, FeedbackRequest.Table,
        AdminRequest.LoadTable, AdminRequest.ReloadTable, AdminRequest.UnloadTable, AdminRequest.AliasTable,
    ];

    public static string Html { get; } = Render();

    public static void Map(IEndpointRouteBuilder routes) =>
        routes.MapGet("/docs", () => TypedResults.Content(Html, "text/html; charset=utf-8")).ExcludeFromDescription();

    private static string Render()
    {
        var html = new StringBuilder(
            """
            <!doctype html>
            <html lang="en"><head><meta charset="utf-8"><title>TrainServe: parameters</title>
            <style>body{font:16px/1.5 system-ui,sans-serif;max-width:64em;margin:2em auto;padding:0 1em;color-scheme:light dark}
            table{border-collapse:collapse;width:100%}td,th{border:1px solid #8888;padding:.3em .6em;text-align:left;vertical-align:top}</style></head><body>
            <h1>Parameters</h1>
            <p>Every parameter that a request may have, and what this server does with it. Any other name is refused with 400. The routes themselves are described at
            <a href="/scalar">/scalar</a>.</p>

            """);
        foreach (var table in Tables)
        {
            html.Append("<h2><code>").Append(table.Route).Append("</code></h2>\n<table><tr><th>Parameter</th><th>Treatment</th><th>Effect</th></tr>\n");
            foreach (var parameter in table.All)
            {
                html.Append("<tr><td><code>").Append(parameter.Name).Append("</code>").Append(parameter.Extension ? " (extension)" : "").Append("</td><td>").Append(Word(parameter))
                    .Append("</td><td>").Append(HtmlEncoder.Default.Encode(parameter.Sentence)).Append("</td></tr>\n");
            }
            html.Append("</table>\n");
        }
        return html.Append("</body></html>\n").ToString();
    }

    /// <summary>What becomes of a parameter, in a word.</summary>
    public static string Word(Parameter parameter) => parameter.Treatment switch
    {
        ParameterTreatment.Honoured => "honoured",
        ParameterTreatment.WithoutEffect => "accepted without effect",
        _ => "refused with 400",
    };
}
