using System.Text;

namespace TrainServe.Server.Documentation;

/// <summary><c>parameters</c>: the page of parameters as Markdown, for who reads it without a server. <c>deploy/http-parameters.md</c> is made with it.</summary>
internal static class ParameterMarkdown
{
    public const string Verb = "parameters";

    public static string Text { get; } = Render();

    private static string Render()
    {
        var text = new StringBuilder(
            """
            # Parameters of the HTTP API

            Every parameter that a request may have, and what the server does with it. Any other name is refused with 400. The same page is at `/docs` of a running server; this one is made
            by `TrainServe.Server.dll parameters`, of the tables that read the requests.

            """);
        foreach (var table in ParameterPage.Tables)
        {
            text.Append("\n## ").Append(table.Route).Append("\n\n| parameter | treatment | effect |\n|---|---|---|\n");
            foreach (var parameter in table.All)
            {
                text.Append("| `").Append(parameter.Name).Append('`').Append(parameter.Extension ? " (extension)" : "").Append(" | ").Append(ParameterPage.Word(parameter))
                    .Append(" | ").Append(parameter.Sentence.Replace("|", "\\|", StringComparison.Ordinal)).Append(" |\n");
            }
        }
        return text.ToString();
    }
}
