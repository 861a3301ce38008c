using System.Text.Json;
using TrainServe.Core.Chat;

namespace TrainServe.Core.Data;

/// <summary>OpenAssistant's conversation trees: a <c>prompt</c> whose <c>replies</c> have replies in turn, with the ranks that people gave them.</summary>
/// <remarks>Koepf et al. 2023, arXiv:2304.07327. At each turn the reply of the lowest rank is followed (0 is the best), the first where none is ranked; replies that were deleted are not.</remarks>
internal static class OpenAssistantTree
{
    public static bool IsOne(JsonElement record) => record.Has("message_tree_id") && record.Has("prompt") && record.GetProperty("prompt").ValueKind == JsonValueKind.Object;

    /// <summary>The best branch, up to its last answer.</summary>
    public static IReadOnlyList<ChatMessage> BestBranch(JsonElement record)
    {
        var messages = new List<ChatMessage>();
        for (JsonElement? turn = record.GetProperty("prompt"); turn is { } message; turn = BestReply(message))
        {
            string role = message.Text("role");
            messages.Add(role switch
            {
                "prompter" => ChatMessage.User(message.Text("text")),
                "assistant" => ChatMessage.Assistant(message.Text("text")),
                _ => throw new RecordFaultException($"a message has the role '{role}'; prompter and assistant are known"),
            });
        }
        int answer = messages.FindLastIndex(message => message.Role == ChatRole.Assistant);
        return answer < 0 ? throw new RecordFaultException("the tree has no answer") : messages[..(answer + 1)];
    }

    private static JsonElement? BestReply(JsonElement message)
    {
        if (!message.Has("replies"))
        {
            return null;
        }
        JsonElement? best = null;
        double bestRank = double.PositiveInfinity;
        foreach (var reply in message.List("replies").EnumerateArray())
        {
            bool isUsable = reply.ValueKind == JsonValueKind.Object && !(reply.TryGetProperty("deleted", out var deleted) && deleted.ValueKind == JsonValueKind.True);
            if (!isUsable)
            {
                continue;
            }
            double rank = reply.Has("rank") && reply.GetProperty("rank").ValueKind == JsonValueKind.Number ? reply.GetProperty("rank").GetDouble() : double.MaxValue;
            if (rank < bestRank)
            {
                (best, bestRank) = (reply, rank);
            }
        }
        return best;
    }
}
