using TrainServe.Core.Chat;
using TrainServe.Core.Data;
using TrainServe.Training.Recipes;

namespace TrainServe.Training.FineTuning;

/// <summary>A conversation as tokens, ready to be packed.</summary>
/// <param name="Ids">All its tokens.</param>
/// <param name="LossMask">For each, whether the model is to learn to produce it.</param>
/// <param name="Origin">Where it came from.</param>
public sealed record TrainingConversation(int[] Ids, bool[] LossMask, RecordOrigin Origin)
{
    /// <summary>Places that it takes in a row: the last token is only a target.</summary>
    public int Columns => Ids.Length - 1;

    /// <summary>Tokens that are learned; the first token has nothing before it and never is.</summary>
    public int LearnedTokens => LossMask.AsSpan(1).Count(true);
}

/// <summary>How many conversations did not fit as they were.</summary>
public sealed class LengthCounts
{
    public long Dropped { get; internal set; }
    public long Cut { get; internal set; }
}

/// <summary>Encodes conversations and applies the rule for those that are too long.</summary>
public sealed class ConversationEncoder(ChatTemplate template, int columns, OverLongRule rule)
{
    /// <summary>Null when it is left out.</summary>
    /// <param name="conversation">To be encoded.</param>
    /// <param name="counts">Is told what did not fit.</param>
    public TrainingConversation? Encode(Conversation conversation, LengthCounts counts)
    {
        var encoded = template.Encode(conversation.Messages);
        var whole = new TrainingConversation(encoded.Ids, encoded.LossMask, conversation.Origin);
        if (whole.Columns <= columns)
        {
            return whole;
        }
        var cut = new TrainingConversation(whole.Ids[..(columns + 1)], whole.LossMask[..(columns + 1)], whole.Origin);
        if (rule == OverLongRule.Cut && cut.LearnedTokens > 0)
        {
            counts.Cut++;
            return cut;
        }
        counts.Dropped++;
        return null;
    }
}
