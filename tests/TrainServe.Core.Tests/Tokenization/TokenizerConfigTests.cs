using System.Text.Json.Nodes;
using TrainServe.Core.Tokenization;
using TrainServe.TestSupport;

namespace TrainServe.Core.Tests.Tokenization;

public sealed class TokenizerConfigTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public void What_is_written_is_what_transformers_expects_and_reads_back()
    {
        var config = new TokenizerConfig { BosToken = "<|endoftext|>", EosToken = "<|endoftext|>", PadToken = "<|pad|>", ChatTemplate = "{{ 'ä' }}", ModelMaxLength = 512 };
        config.Write(_directory.FullName, SmallTokenizers.Ours.Special);
        Assert.Equal(config, TokenizerConfig.Read(_directory.FullName));

        var json = JsonNode.Parse(File.ReadAllText(_directory.PathOf("tokenizer_config.json")))!;
        Assert.Equal("PreTrainedTokenizerFast", (string?)json["tokenizer_class"]);
        int pad = SmallTokenizers.Ours.Special.PadId;
        Assert.Equal("<|pad|>", (string?)json["added_tokens_decoder"]![$"{pad}"]!["content"]);
        Assert.True((bool)json["added_tokens_decoder"]![$"{pad}"]!["special"]!);
        Assert.Equal(["<|system|>", "<|user|>", "<|assistant|>", "<|tool|>", "<|tool_call|>", "<|end|>"], json["additional_special_tokens"]!.AsArray().Select(token => (string)token!));
    }

    [Fact]
    public void Without_a_limit_the_length_is_the_number_by_which_transformers_says_so()
    {
        new TokenizerConfig().Write(_directory.FullName, SmallTokenizers.Ours.Special);
        Assert.Equal("1000000000000000019884624838656", JsonNode.Parse(File.ReadAllText(_directory.PathOf("tokenizer_config.json")))!["model_max_length"]!.ToJsonString());
        Assert.Null(TokenizerConfig.Read(_directory.FullName).ModelMaxLength);
    }

    [Fact]
    public void Tokens_may_be_objects_and_templates_a_list_or_a_file()
    {
        _directory.WriteText("tokenizer_config.json", """{"bos_token": {"content": "<s>", "lstrip": false}, "eos_token": null, "chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]}""");
        Assert.Equal(new TokenizerConfig { BosToken = "<s>", ChatTemplate = "d" }, TokenizerConfig.Read(_directory.FullName));
        _directory.WriteText("tokenizer_config.json", "{}");
        _directory.WriteText("chat_template.jinja", "f");
        Assert.Equal("f", TokenizerConfig.Read(_directory.FullName).ChatTemplate);
    }

    [Fact]
    public void Damage_is_named_by_field()
    {
        _directory.WriteText("tokenizer_config.json", """{"bos_token": 1}""");
        Assert.EndsWith("tokenizer_config.json: bos_token must be a string.", Assert.Throws<InvalidDataException>(() => TokenizerConfig.Read(_directory.FullName)).Message);
        _directory.WriteText("tokenizer_config.json", """{"chat_template": [{"name": "rag", "template": "t"}]}""");
        Assert.Contains("chat_template has no template named default", Assert.Throws<InvalidDataException>(() => TokenizerConfig.Read(_directory.FullName)).Message);
    }
}
