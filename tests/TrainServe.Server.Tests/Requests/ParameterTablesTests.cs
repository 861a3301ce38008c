using TrainServe.Server.Requests;
using TrainServe.TestSupport;
using YamlDotNet.RepresentationModel;

namespace TrainServe.Server.Tests.Requests;

public sealed class ParameterTablesTests
{
    [Theory]
    [InlineData("CreateChatCompletionRequest", "POST /v1/chat/completions", 37)]
    [InlineData("CreateCompletionRequest", "POST /v1/completions", 18)]
    [InlineData("CreateEmbeddingRequest", "POST /v1/embeddings", 5)]
    [InlineData("CreateResponse", "POST /v1/responses", 31)]
    public void Each_parameter_of_OpenAIs_description_has_a_declared_treatment(string schema, string route, int count)
    {
        var table = Documented(route);
        string[] declared = [.. table.All.Where(parameter => !parameter.Extension).Select(parameter => parameter.Name).Order(StringComparer.Ordinal)];
        Assert.Equal(count, declared.Length);
        Assert.Equal(OpenAiDescription.Properties(schema).Order(StringComparer.Ordinal), declared);
    }

    [Fact]
    public void The_page_in_the_repository_is_made_of_the_tables()
    {
        string page = File.ReadAllText(RepositoryRoot.PathOf("deploy/http-parameters.md"));
        Assert.True(page == TrainServe.Server.Documentation.ParameterMarkdown.Text, "deploy/http-parameters.md is of other tables than these; write it anew: TrainServe.Server.dll parameters > deploy/http-parameters.md");
    }

    [Fact]
    public void Every_row_says_what_it_does()
    {
        Assert.All(TrainServe.Server.Documentation.ParameterPage.Tables.SelectMany(table => table.All), parameter => Assert.True(parameter.Effect.Length > 10 && parameter.Effect[^1] == '.', parameter.Name));
    }

    [Fact]
    public void The_extensions_of_other_servers_have_a_declared_treatment_too()
    {
        foreach (string route in (string[])["POST /v1/chat/completions", "POST /v1/completions"])
        {
            foreach (string name in (string[])["top_k", "min_p", "typical_p", "repetition_penalty", "min_tokens", "ignore_eos", "stop_token_ids", "allowed_token_ids",
                "bad_words", "guided_regex", "guided_grammar", "prompt_logprobs", "return_token_ids", "cache_salt", "priority"])
            {
                Assert.True(Documented(route).Find(name) is { Extension: true }, name);
            }
        }
    }

    private static ParameterTable Documented(string route) => TrainServe.Server.Documentation.ParameterPage.Tables.Single(table => table.Route == route);

    /// <summary>OpenAI's own description of its API, where it is at hand.</summary>
    private static class OpenAiDescription
    {
        private static readonly Lazy<YamlMappingNode> Schemas = new(() =>
        {
            using var text = new StreamReader(SharedData.Beside("contract/openai-api.yml"));
            var yaml = new YamlStream();
            yaml.Load(text);
            return (YamlMappingNode)yaml.Documents[0].RootNode["components"]["schemas"];
        });

        /// <summary>Names of a schema's properties, those of the schemas that it is composed of included.</summary>
        public static IEnumerable<string> Properties(string schema)
        {
            SharedData.Beside("contract/openai-api.yml");
            return Of((YamlMappingNode)Schemas.Value[schema]);
        }

        private static IEnumerable<string> Of(YamlMappingNode schema)
        {
            if (schema.Children.TryGetValue("$ref", out var target))
            {
                return Properties(((YamlScalarNode)target).Value!.Split('/')[^1]);
            }
            var own = schema.Children.TryGetValue("properties", out var properties) ? ((YamlMappingNode)properties).Children.Keys.Select(key => ((YamlScalarNode)key).Value!) : [];
            var parts = schema.Children.TryGetValue("allOf", out var all) ? ((YamlSequenceNode)all).Cast<YamlMappingNode>().SelectMany(Of) : [];
            return own.Concat(parts).Distinct();
        }
    }
}
