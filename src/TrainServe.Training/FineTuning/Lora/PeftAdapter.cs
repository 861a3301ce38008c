using TrainServe.Core.IO;
using TrainServe.Core.Packaging;
using TrainServe.Model;
using TrainServe.Training.Recipes;

namespace TrainServe.Training.FineTuning.Lora;

/// <summary><c>adapter_config.json</c> as Hugging Face's PEFT writes it.</summary>
public sealed record PeftConfig
{
    public string PeftType { get; init; } = "LORA";
    public string TaskType { get; init; } = "CAUSAL_LM";
    public string? BaseModelNameOrPath { get; init; }

    /// <summary>The rank.</summary>
    public required int R { get; init; }
    public required double LoraAlpha { get; init; }
    public double LoraDropout { get; init; }
    public required IReadOnlyList<string> TargetModules { get; init; }
    public string Bias { get; init; } = "none";
    public bool FanInFanOut { get; init; }
    public bool InferenceMode { get; init; } = true;
    public bool UseRslora { get; init; }
    public bool UseDora { get; init; }
}

/// <summary>A directory with low-rank adapters in PEFT's layout: <c>adapter_config.json</c> and <c>adapter_model.safetensors</c>.</summary>
public static class PeftAdapter
{
    public const string ConfigFile = "adapter_config.json", WeightsFile = "adapter_model.safetensors";

    /// <summary>PEFT's name of a factor.</summary>
    /// <param name="weight">Hugging Face's name of the weight, which ends in .weight.</param>
    /// <param name="factor">A or B.</param>
    internal static string NameOf(string weight, string factor) => $"base_model.model.{weight[..^".weight".Length]}.lora_{factor}.weight";

    internal static void Write(string directory, LoraAdapters adapters, LoraSection settings, string baseModel)
    {
        Directory.CreateDirectory(directory);
        JsonFile.Write(Path.Combine(directory, ConfigFile), new PeftConfig { BaseModelNameOrPath = baseModel, R = settings.Rank, LoraAlpha = settings.Alpha, TargetModules = settings.Targets }, JsonFile.SnakeCase);
        SafeTensorsWriter.Write(Path.Combine(directory, WeightsFile), adapters.Save());
    }

    /// <summary>Adds a directory's adapters to a model's weights.</summary>
    /// <param name="model">Changed.</param>
    /// <param name="directory">In PEFT's layout.</param>
    /// <exception cref="InvalidDataException">It is of another kind than LoRA without extras, or does not fit the model.</exception>
    public static void Merge(Transformer model, string directory)
    {
        string path = Path.Combine(directory, ConfigFile);
        var config = JsonFile.Read<PeftConfig>(path, JsonFile.SnakeCase);
        Require(config.PeftType == "LORA", "peft_type", config.PeftType, "LORA");
        Require(config.Bias == "none", "bias", config.Bias, "none");
        Require(!config.UseRslora && !config.UseDora && !config.FanInFanOut, "use_rslora, use_dora or fan_in_fan_out", "true", "false");
        Require(config.R >= 1, "r", config.R, "at least 1");
        string? unknown = config.TargetModules.FirstOrDefault(target => !LoraSection.Known.Contains(target, StringComparer.Ordinal));
        Require(unknown is null, "target_modules", unknown ?? "", $"of {string.Join(", ", LoraSection.Known)}");
        using var adapters = new LoraAdapters(model, new LoraSection { Rank = config.R, Alpha = config.LoraAlpha, Targets = config.TargetModules }, seed: 0);
        using var weights = SafeTensorsReader.Open(Path.Combine(directory, WeightsFile));
        adapters.Load(weights);

        void Require(bool holds, string key, object value, string rule)
        {
            if (!holds)
            {
                throw new InvalidDataException($"{path}: {key} is {value}; it must be {rule}.");
            }
        }
    }
}
