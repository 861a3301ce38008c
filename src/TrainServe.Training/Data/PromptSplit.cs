using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using TrainServe.Core.Chat;

namespace TrainServe.Training.Data;

/// <summary>Divides examples by what is asked in them, the same way in every stage: one question is never on both sides.</summary>
public static class PromptSplit
{
    /// <summary>Whether an example is kept for validation.</summary>
    /// <param name="messages">Its conversation, or the beginning of it.</param>
    /// <param name="fraction">The part of all questions that is.</param>
    public static bool IsHeldOut(IReadOnlyList<ChatMessage> messages, double fraction) => Fraction(Hash(messages), 0) < fraction;

    /// <summary>Whether an example lies in a part of the questions; independent of what is held out.</summary>
    /// <param name="messages">Its conversation, or the beginning of it.</param>
    /// <param name="from">At least so much.</param>
    /// <param name="to">Less than this; 1 is everything above.</param>
    public static bool IsInPart(IReadOnlyList<ChatMessage> messages, double from, double to) => Fraction(Hash(messages), 8) is var place && place >= from && place < to;

    /// <summary>What a conversation is divided by: its first user turn.</summary>
    public static string Question(IReadOnlyList<ChatMessage> messages) => messages.First(message => message.Role == ChatRole.User).Content;

    /// <summary>Where a question stands when questions are put into an order that has nothing to do with what they ask.</summary>
    public static double Place(string question) => Fraction(Hash(question), 16);

    private static byte[] Hash(IReadOnlyList<ChatMessage> messages) => Hash(Question(messages));

    private static byte[] Hash(string question) => SHA256.HashData(Encoding.UTF8.GetBytes(question));

    private static double Fraction(byte[] hash, int offset) => (BinaryPrimitives.ReadUInt64LittleEndian(hash.AsSpan(offset)) >> 11) * (1.0 / (1L << 53));
}
