using System.Text;
using TrainServe.Core.Chat;
using TrainServe.Server.Catalogue;
using TrainServe.Server.Requests;

namespace TrainServe.Server.Generation;

/// <summary>Lays out a conversation as the tokens that the model reads.</summary>
internal static class ChatPrompt
{
    /// <exception cref="InvalidRequestException">The conversation has no end to answer, or is too long for the model.</exception>
    public static int[] Encode(ServedModel model, ConversationFields request) =>
        Encode(model, Messages(request));

    /// <summary>The conversation as the model reads it, with what is told of tools.</summary>
    public static IReadOnlyList<ChatMessage> Messages(ConversationFields request) =>
        request.CallsTools ? ToolPrompt.Add(request.Messages!, [.. request.Tools.Select(tool => tool.Definition)]) : request.Messages!;

    /// <inheritdoc cref="Encode(ServedModel, ConversationFields)"/>
    public static int[] Encode(ServedModel model, IReadOnlyList<ChatMessage> messages)
    {
        if (messages[^1].Role == ChatRole.Assistant)
        {
            throw new InvalidRequestException("The conversation ends with a message of the assistant, so there is nothing to answer.",
                $"messages[{messages.Count - 1}].role", "invalid_value");
        }
        RequireFeasible(model, messages);
        int[] ids = model.Template.EncodePrompt(messages);
        return ids.Length < model.ContextLength ? ids : throw SamplingPlan.TooLong(model, "messages", $"your messages resulted in {ids.Length} tokens");
    }

    /// <summary>A conversation with its answer, as reward models learn to read it.</summary>
    /// <exception cref="InvalidRequestException">It has no answer, or roles in no order that could be trained on, or is too long for the model.</exception>
    public static int[] EncodeWhole(ServedModel model, IReadOnlyList<ChatMessage> messages)
    {
        if (messages[^1].Role != ChatRole.Assistant)
        {
            throw new InvalidRequestException("The conversation does not end with a message of the assistant, so there is no answer to score.",
                $"messages[{messages.Count - 1}].role", "invalid_value");
        }
        if (ConversationRules.FaultForTraining(messages) is { } fault)
        {
            throw new InvalidRequestException($"The conversation {fault}.", "messages", "invalid_value");
        }
        RequireFeasible(model, messages);
        return model.Template.Encode(messages).Ids;
    }

    private static void RequireFeasible(ServedModel model, IReadOnlyList<ChatMessage> messages) =>
        TextPrompts.RequireFeasible(model, messages.Sum(message => (long)Encoding.UTF8.GetByteCount(message.Content)), "messages");
}
