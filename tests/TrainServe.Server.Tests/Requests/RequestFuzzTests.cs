using System.Text;
using CsCheck;
using TrainServe.Server.Errors;
using TrainServe.Server.Requests;

namespace TrainServe.Server.Tests.Requests;

public sealed class RequestFuzzTests
{
    private static readonly byte[] Valid = Encoding.UTF8.GetBytes("""
        {"messages":[{"role":"system","content":"be é kind"},{"role":"user","content":[{"type":"text","text":"\ud83d\ude00"}],"name":"Ann"}],
         "model":"tiny","stream":true,"stream_options":{"include_usage":true},"temperature":0.5,"n":3,"stop":["a","b"],"seed":-5,"logprobs":true,
         "logit_bias":{"4":-100,"5":1.5},"metadata":{"a":"b"},"prediction":{"type":"content","content":["x",{"y":1e5}]},"tools":[],"response_format":{"type":"text"}}
        """);

    private static readonly byte[][] Pieces =
        [.. new[] { "null", "[", "]", "{", "}", "\"", ",", ":", "1e999", "-", "\\ud800", "\\u0000", "\"n\":1,", "[[[[[[[[", "true", "9223372036854775808", "\\", "{\"a\":", "\"messages\":" }
            .Select(Encoding.UTF8.GetBytes), [0xFF], [0xC3], [0], [0xED, 0xA0, 0x80]];

    [Fact]
    public void A_mutated_body_is_read_or_refused_and_nothing_else()
    {
        var mutation = Gen.Select(Gen.Int[0, Valid.Length - 1], Gen.Int[0, 12], Gen.Int[0, Pieces.Length - 1]);
        mutation.Array[1, 6].Sample(changes =>
        {
            var body = Valid.ToList();
            foreach (var (at, removed, piece) in changes)
            {
                int start = Math.Min(at, body.Count);
                body.RemoveRange(start, Math.Min(removed, body.Count - start));
                body.InsertRange(start, Pieces[piece]);
            }
            try
            {
                ChatCompletionRequest.Parse([.. body], mostMessages: 10);
            }
            catch (InvalidRequestException error)
            {
                Assert.InRange(error.Message.Length, 10, 1000);
            }
        }, iter: 20_000);
    }
}
