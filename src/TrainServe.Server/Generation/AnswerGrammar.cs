using TrainServe.Core.Tokenization;
using TrainServe.Inference.Constraints;
using TrainServe.Server.Catalogue;
using TrainServe.Server.Requests;

namespace TrainServe.Server.Generation;

/// <summary>What an answer must keep to: the form that was asked for, and calls of tools that are always whole and fit their schemas.</summary>
internal static class AnswerGrammar
{
    private const int MostCalls = 16;

    /// <summary>Null where any text will do.</summary>
    /// <exception cref="InvalidRequestException">The model cannot call tools, or the whole is too large.</exception>
    public static CompiledGrammar? Make(ServedModel model, GenerationFields fields)
    {
        var node = fields is ConversationFields { CallsTools: true } conversation ? WithTools(model, conversation) : fields.Format;
        if (node is null)
        {
            return null;
        }
        if (fields.IgnoreEos)
        {
            throw new InvalidRequestException("'ignore_eos' cannot be combined with a form of the answer or with tools, which have an end.", "ignore_eos", "invalid_parameter_combination");
        }
        try
        {
            return new CompiledGrammar(node);
        }
        catch (GrammarTooLargeException)
        {
            throw new InvalidRequestException("The tools and the form of the answer are too large together.", "tools", "invalid_function_parameters");
        }
    }

    private static GrammarNode WithTools(ServedModel model, ConversationFields request)
    {
        int control = model.ToolCallId ?? throw InvalidRequestException.Unsupported("tools", $"the chat template of '{model.Id}' has no calls of tools.");
        var choice = request.ToolChoice;
        var callable = request.Tools.Where(tool => choice.Name is null || tool.Name == choice.Name).Select(tool => Call(control, tool)).ToArray();
        if (callable.Length == 0)
        {
            throw new InvalidRequestException($"Invalid value for 'tool_choice': there is no tool of the name '{JsonRequestReader.Shown(choice.Name!)}'.", "tool_choice", "invalid_value");
        }
        int most = request.ParallelToolCalls && choice.Name is null ? MostCalls : 1;
        var call = GrammarNode.OneOf(callable);
        if (choice.Use == ToolUse.Required)
        {
            return new GrammarNode.Repeat(call, 1, most);
        }
        var text = request.Format ?? new GrammarNode.Repeat(new GrammarNode.Bytes(ByteSet.All), 0, null);
        // With a form the answer has it, or it calls tools.
        return request.Format is null
            ? GrammarNode.Join(text, new GrammarNode.Repeat(call, 0, most))
            : GrammarNode.OneOf(text, new GrammarNode.Repeat(call, 1, most));
    }

    // As the chat template writes it.
    private static GrammarNode Call(int control, Tool tool) => GrammarNode.Join(
        new GrammarNode.Control(control), GrammarNode.Text($"{{\"name\": \"{tool.Name}\", \"arguments\": "), tool.Arguments, GrammarNode.Text("}"));
}
