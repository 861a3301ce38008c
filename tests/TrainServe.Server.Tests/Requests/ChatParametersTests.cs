using TrainServe.Server.Requests;

namespace TrainServe.Server.Tests.Requests;

public sealed class ChatParametersTests
{
    private static readonly string[] OpenAi =
    [
        "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs", "max_completion_tokens", "max_tokens", "messages", "metadata",
        "modalities", "model", "moderation", "n", "parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key", "prompt_cache_options",
        "prompt_cache_retention", "reasoning_effort", "response_format", "safety_identifier", "seed", "service_tier", "stop", "store", "stream",
        "stream_options", "temperature", "tool_choice", "tools", "top_logprobs", "top_p", "user", "verbosity", "web_search_options",
    ];

    [Fact]
    public void Each_of_the_37_parameters_of_OpenAI_has_a_declared_treatment()
    {
        Assert.Equal(37, OpenAi.Length);
        Assert.Equal(OpenAi, ChatParameters.All.Where(parameter => !parameter.Extension).Select(parameter => parameter.Name).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void The_extensions_of_other_servers_have_one_too()
    {
        foreach (string name in (string[])["top_k", "min_p", "typical_p", "repetition_penalty", "min_tokens", "ignore_eos", "stop_token_ids", "allowed_token_ids",
            "bad_words", "guided_regex", "guided_grammar", "prompt_logprobs", "return_token_ids", "cache_salt", "priority"])
        {
            Assert.True(ChatParameters.Find(name) is { Extension: true, Effect.Length: > 10 }, name);
        }
    }
}
