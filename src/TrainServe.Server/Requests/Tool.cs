using TrainServe.Core.Chat;
using TrainServe.Inference.Constraints;

namespace TrainServe.Server.Requests;

/// <summary>A tool and the grammar of its arguments.</summary>
internal sealed record Tool(ToolDefinition Definition, GrammarNode Arguments)
{
    public string Name => Definition.Name;
}
