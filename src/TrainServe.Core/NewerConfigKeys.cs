using System.Text.Json;

namespace TrainServe.Core;

/// <summary>Keys of <c>config.json</c> as version 5 of Hugging Face's transformers writes them, turned into those that both versions read.</summary>
internal static class NewerConfigKeys
{
    private const string Rope = "rope_parameters", RopeScaling = "rope_scaling", DataType = "dtype";

    /// <summary>Takes <c>rope_parameters</c> and <c>dtype</c> into their older keys.</summary>
    /// <exception cref="InvalidDataException">They ask for something that nothing here computes, or contradict the older keys.</exception>
    public static ModelConfig Absorbed(ModelConfig config, string source)
    {
        if (config.Other is null)
        {
            return config;
        }
        var other = new Dictionary<string, JsonElement>(config.Other, StringComparer.Ordinal);
        foreach (string key in (ReadOnlySpan<string>)[Rope, RopeScaling])
        {
            if (other.Remove(key, out var rope) && rope.ValueKind != JsonValueKind.Null)
            {
                config = WithRope(config, rope, key, source);
            }
        }
        if (other.Remove(DataType, out var type) && type.ValueKind != JsonValueKind.Null)
        {
            config = config with { TorchDtype = type.ValueKind == JsonValueKind.String ? type.GetString()! : throw Refused(source, DataType, type, "must be a string") };
        }
        return config with { Other = other };
    }

    private static ModelConfig WithRope(ModelConfig config, JsonElement rope, string key, string source)
    {
        if (rope.ValueKind != JsonValueKind.Object)
        {
            throw Refused(source, key, rope, "must be an object");
        }
        foreach (var member in rope.EnumerateObject())
        {
            string name = $"{key}.{member.Name}";
            switch (member.Name)
            {
                case "rope_type" or "type":
                    Require(member.Value.ValueKind == JsonValueKind.String && member.Value.ValueEquals("default"), name, member.Value, "must be default: no other rotary embedding is implemented");
                    break;
                case "rope_theta":
                    Require(member.Value.ValueKind == JsonValueKind.Number, name, member.Value, "must be a number");
                    float theta = member.Value.GetSingle();
                    Require(config.RopeTheta == theta || config.RopeTheta == ModelConfig.DefaultRopeTheta, name, member.Value, $"contradicts rope_theta, which is {config.RopeTheta}");
                    config = config with { RopeTheta = theta };
                    break;
                case "partial_rotary_factor":
                    Require(member.Value.ValueKind == JsonValueKind.Number && member.Value.GetDouble() == 1, name, member.Value, "must be 1: the whole head is turned");
                    break;
                default:
                    throw Refused(source, name, member.Value, "is not implemented");
            }
        }
        return config;

        void Require(bool holds, string name, JsonElement value, string rule)
        {
            if (!holds)
            {
                throw Refused(source, name, value, rule);
            }
        }
    }

    private static InvalidDataException Refused(string source, string key, JsonElement value, string rule) => new($"{source}: {key} is {value.GetRawText()}; it {rule}.");
}
