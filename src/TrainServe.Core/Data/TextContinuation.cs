using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using TrainServe.Core.Chat;

namespace TrainServe.Core.Data;

/// <summary>Makes a conversation of a text: the user gives its opening, and the assistant goes on to its end.</summary>
/// <remarks>
/// Fine-tuned on answers alone, a small model forgets how to tell; some of the text that it was pretrained on, in the form of a conversation, keeps that.
/// The opening is one to half of the sentences. How many follows from a hash of the text, so that the same text is always cut alike and openings of all lengths are learned.
/// </remarks>
internal static class TextContinuation
{
    /// <exception cref="RecordFaultException">The text has fewer than two sentences.</exception>
    public static IReadOnlyList<ChatMessage> Split(string text)
    {
        text = text.Trim();
        int[] ends = [.. SentenceEnds(text)];
        if (ends.Length == 0)
        {
            throw new RecordFaultException("the text is one sentence, so that nothing is left to go on with");
        }
        int atMost = (ends.Length + 1) / 2;
        ulong hash = BinaryPrimitives.ReadUInt64LittleEndian(SHA256.HashData(Encoding.UTF8.GetBytes(text)));
        int end = ends[(int)(hash % (ulong)atMost)];
        return [ChatMessage.User(text[..end]), ChatMessage.Assistant(text[end..].TrimStart())];
    }

    // Where white space follows the end of a sentence and its closing marks, and no small letter: "Stop!" said Tim is one sentence. The text's own end is none.
    private static IEnumerable<int> SentenceEnds(string text)
    {
        for (int i = 1; i < text.Length; i++)
        {
            if (char.IsWhiteSpace(text[i]) && !char.IsWhiteSpace(text[i - 1]) && text.AsSpan(0, i).TrimEnd("\"'”’)") is [.., '.' or '!' or '?' or '…']
                && !char.IsLower(text.AsSpan(i).TrimStart()[0]))
            {
                yield return i;
            }
        }
    }
}
