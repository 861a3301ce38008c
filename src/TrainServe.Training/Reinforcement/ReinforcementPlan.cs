using TrainServe.Core;
using TrainServe.Training.Alignment;
using TrainServe.Training.Distributed;
using TrainServe.Training.Loops;
using TrainServe.Training.Recipes;

namespace TrainServe.Training.Reinforcement;

/// <summary>What stages that sample will do.</summary>
internal static class ReinforcementPlan
{
    /// <summary>Most tokens of a prompt with its answer.</summary>
    /// <exception cref="RecipeException">A model's context does not hold them.</exception>
    public static int Columns(PromptDataSection data, RolloutSection rollout, params ReadOnlySpan<StageModel> models)
    {
        int context = int.MaxValue;
        string shortest = "";
        foreach (var model in models)
        {
            if (model.Package.Config.MaxPositionEmbeddings < context)
            {
                (context, shortest) = (model.Package.Config.MaxPositionEmbeddings, model.Package.Directory);
            }
        }
        int columns = data.MaxPromptTokens is { } prompt ? prompt + rollout.MaxNewTokens : context;
        return columns > context || rollout.MaxNewTokens >= context
            ? throw new RecipeException($"data.max_prompt_tokens and rollout.max_new_tokens are {data.MaxPromptTokens ?? 1} and {rollout.MaxNewTokens}; {shortest} has a context of {context} tokens.")
            : columns;
    }

    /// <summary>Refuses more processes than there is work for.</summary>
    /// <exception cref="RecipeException">Some would have nothing to do, or one more than another.</exception>
    public static void RequireShares(RolloutSection rollout, UpdateSection update, IProcessGroup processes)
    {
        int size = processes.Size;
        if (rollout.Prompts < size || update.MinibatchRows < size)
        {
            var (key, value) = rollout.Prompts < size ? ("rollout.prompts", rollout.Prompts) : ("update.minibatch_rows", update.MinibatchRows);
            throw new RecipeException($"{key} is {value} and there are {size} processes, so that some would have nothing to do; start at most {value}, or raise {key}.");
        }
        if (rollout.Prompts % size != 0)
        {
            throw new RecipeException($"rollout.prompts is {rollout.Prompts}, which {size} processes cannot share evenly; make it a multiple of {size}.");
        }
    }

    public static TrainingPlan Of(string stage, StageModel parent, PromptData data, ExampleOrder order, RolloutSection rollout, UpdateSection update, int samples, int columns, int models, int trained, IProcessGroup processes)
    {
        int rows = rollout.Prompts * samples, micro = Math.Min(update.MicroBatchRows ?? update.MinibatchRows, (update.MinibatchRows + processes.Size - 1) / processes.Size);
        var config = parent.Package.Config;
        // Trained models have gradients and moments; the others only weights; sampling keeps keys and values of every row.
        long cache = 8L * rows / processes.Size * columns * config.NumHiddenLayers * config.NumKeyValueHeads * config.HeadDim;
        var memory = MemoryEstimate.Of(config, Math.Max(micro, 1), columns, activationCheckpointing: update.ActivationCheckpointing);
        return new TrainingPlan
        {
            Stage = stage,
            Model = config,
            Memory = new MemoryEstimate(trained * memory.WeightsBytes + (models - trained) * memory.WeightsBytes / 4, memory.ActivationsBytes + cache),
            Sources = data.Summary(),
            Columns = columns,
            BatchRows = rows,
            MicroBatchRows = micro,
            ActivationCheckpointing = update.ActivationCheckpointing,
            Processes = processes,
            TotalSteps = update.Iterations,
            RowsPerEpoch = order.Count * samples,
            Preview = data.Preview(order, parent.Tokenizer),
            Notes = [.. data.Notes()],
        };
    }
}
