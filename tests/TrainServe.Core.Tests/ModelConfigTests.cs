using TrainServe.Core.Packaging;

namespace TrainServe.Core.Tests;

public sealed class ModelConfigTests : IDisposable
{
    private const string SmolLm = """
        {
          "architectures": ["LlamaForCausalLM"], "attention_bias": false, "attention_dropout": 0.0, "bos_token_id": 1, "eos_token_id": 2,
          "hidden_act": "silu", "hidden_size": 576, "initializer_range": 0.041666666666666664, "intermediate_size": 1536, "is_llama_config": true,
          "max_position_embeddings": 8192, "model_type": "llama", "num_attention_heads": 9, "num_hidden_layers": 30, "num_key_value_heads": 3,
          "pad_token_id": null, "rms_norm_eps": 1e-05, "rope_scaling": null, "rope_theta": 100000, "tie_word_embeddings": true,
          "torch_dtype": "bfloat16", "use_cache": true, "vocab_size": 49152
        }
        """;
    private readonly string _path = Path.GetTempFileName();

    public void Dispose() => File.Delete(_path);

    [Fact]
    public void A_published_config_reads_and_counts_its_parameters()
    {
        File.WriteAllText(_path, SmolLm);
        var config = ModelConfig.Read(_path);
        Assert.Equal(64, config.HeadDim);
        Assert.Equal([2], config.EosTokenId);
        Assert.Equal(134_515_008, config.ParameterCount);
        Assert.Equal(config.ParameterCount, WeightNames.Expected(config).Sum(weight => weight.Shape.Aggregate(1L, (product, size) => product * size)));
    }

    [Fact]
    public void Writing_keeps_keys_that_nothing_here_reads()
    {
        File.WriteAllText(_path, SmolLm);
        ModelConfig.Read(_path).Write(_path);
        Assert.True(ModelConfig.Read(_path).Other!["is_llama_config"].GetBoolean());
    }

    [Fact]
    public void A_config_of_transformers_5_reads_like_one_of_4_and_is_written_with_keys_that_both_read()
    {
        File.WriteAllText(_path, SmolLm.Replace("\"rope_theta\": 100000, ", "\"rope_parameters\": {\"rope_theta\": 100000.0, \"rope_type\": \"default\"}, ")
            .Replace("\"torch_dtype\"", "\"dtype\""));
        var config = ModelConfig.Read(_path);
        Assert.Equal((100000f, "bfloat16"), (config.RopeTheta, config.TorchDtype));
        config.Write(_path);
        Assert.DoesNotContain("rope_parameters", File.ReadAllText(_path));
        Assert.Contains("\"rope_theta\": 100000", File.ReadAllText(_path));
        Assert.Equal(100000f, ModelConfig.Read(_path).RopeTheta);
    }

    [Fact]
    public void A_reward_model_keeps_its_one_label()
    {
        File.WriteAllText(_path, SmolLm.Replace("LlamaForCausalLM", "LlamaForSequenceClassification"));
        ModelConfig.Read(_path).Write(_path);
        var config = ModelConfig.Read(_path);
        Assert.True(config.IsRewardModel);
        Assert.Equal(1, config.NumLabels);
        Assert.Contains("\"num_labels\": 1", File.ReadAllText(_path));
    }

    [Theory]
    [InlineData("\"num_key_value_heads\": 3", "\"num_key_value_heads\": 4", "num_key_value_heads is 4; it must divide num_attention_heads, 9")]
    [InlineData("\"hidden_act\": \"silu\"", "\"hidden_act\": \"gelu\"", "hidden_act is gelu; it must be silu")]
    [InlineData("\"rope_scaling\": null", "\"rope_scaling\": {\"rope_type\": \"yarn\"}", "rope_scaling.rope_type is \"yarn\"; it must be default")]
    [InlineData("\"rope_scaling\": null", "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2.0}", "rope_scaling.type is \"linear\"; it must be default")]
    [InlineData("\"rope_theta\": 100000", "\"rope_parameters\": {\"rope_type\": \"llama3\", \"rope_theta\": 500000.0}", "rope_parameters.rope_type is \"llama3\"; it must be default")]
    [InlineData("\"rope_theta\": 100000", "\"rope_parameters\": {\"rope_theta\": 500000.0, \"factor\": 8.0}", "rope_parameters.factor is 8.0; it is not implemented")]
    [InlineData("\"rope_theta\": 100000", "\"rope_parameters\": {\"partial_rotary_factor\": 0.5}", "rope_parameters.partial_rotary_factor is 0.5; it must be 1")]
    [InlineData("\"rope_theta\": 100000", "\"rope_theta\": 100000, \"rope_parameters\": {\"rope_theta\": 500000}", "rope_parameters.rope_theta is 500000; it contradicts rope_theta, which is 100000")]
    [InlineData("\"rope_theta\": 100000", "\"rope_parameters\": {\"rope_theta\": 0}", "rope_theta is 0; it must be a number above 1")]
    [InlineData("\"rope_theta\": 100000", "\"rope_parameters\": {\"full_attention\": {\"rope_type\": \"default\"}}", "rope_parameters.full_attention")]
    [InlineData("\"torch_dtype\": \"bfloat16\"", "\"dtype\": \"int8\"", "torch_dtype is int8")]
    [InlineData("\"hidden_act\": \"silu\"", "\"hidden_act\": null", "$.hidden_act is null, where a value is needed")]
    [InlineData("[\"LlamaForCausalLM\"]", "null", "$.architectures is null, where a value is needed")]
    [InlineData("[\"LlamaForCausalLM\"]", "[null]", "$.architectures[0] is null, where a value is needed")]
    [InlineData("\"use_cache\": true", "\"\\ud800\": 1", "line 6 is not the JSON that is expected: a string has half of a surrogate pair")]
    [InlineData("\"eos_token_id\": 2", "\"eos_token_id\": 49152", "eos_token_id is 49152; it must be inside the vocabulary")]
    [InlineData("\"vocab_size\": 49152", "\"vocab_size\": \"many\"", "vocab_size")]
    [InlineData("\"vocab_size\": 49152", "\"other\": 1", "vocab_size")]
    [InlineData("\"rms_norm_eps\": 1e-05", "\"rms_norm_eps\": 1e999", "rms_norm_eps")]
    [InlineData("LlamaForCausalLM", "MambaForCausalLM", "architectures is MambaForCausalLM")]
    [InlineData("\"use_cache\": true", "\"use_cache\": true, \"vocab_size\": 7", "vocab_size")]
    public void A_key_that_breaks_a_rule_is_named_with_the_file(string from, string to, string expected)
    {
        File.WriteAllText(_path, SmolLm.Replace(from, to));
        var error = Assert.Throws<InvalidDataException>(() => ModelConfig.Read(_path));
        Assert.Contains(expected, error.Message);
        Assert.Contains(_path, error.Message);
    }

    [Fact]
    public void A_missing_file_is_named() =>
        Assert.Contains("/nowhere/config.json", Assert.Throws<FileNotFoundException>(() => ModelConfig.Read("/nowhere/config.json")).Message);
}
