using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using TrainServe.TestSupport;
using TrainServe.Training.Metrics;

namespace TrainServe.Training.Tests.Metrics;

public sealed class MetricsLogTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public void A_line_holds_the_step_and_the_numbers()
    {
        using (var log = new MetricsLog(_directory.FullName, TimeProvider.System))
        {
            log.Write("train", 3, new Dictionary<string, double> { ["loss"] = 1.5, ["norm"] = double.NaN }, new Dictionary<string, string> { ["note"] = "a\nb" });
        }
        Assert.Equal("""{"event":"train","step":3,"loss":1.5,"norm":null,"note":"a\nb"}""", Assert.Single(Lines()));
    }

    [Fact]
    public void A_resumed_run_drops_lines_of_later_steps_and_half_a_line()
    {
        using (var log = new MetricsLog(_directory.FullName, TimeProvider.System))
        {
            for (int step = 1; step <= 5; step++)
            {
                log.Write("train", step, new Dictionary<string, double> { ["loss"] = step });
            }
        }
        File.AppendAllText(_directory.PathOf("metrics.jsonl"), "{\"event\":\"tra");
        using (var log = new MetricsLog(_directory.FullName, TimeProvider.System, stepsDone: 3))
        {
            log.Write("train", 4, new Dictionary<string, double> { ["loss"] = 40 });
        }
        Assert.Equal([1, 2, 3, 40], Lines().Select(line => JsonDocument.Parse(line).RootElement.GetProperty("loss").GetDouble()));
    }

    // The check value of CRC-32C for "123456789" is 0xE3069283; masked it is rotated right by 15 bits, and 0xA282EAD8 added.
    [Fact]
    public void The_masked_checksum_is_that_of_the_format() =>
        Assert.Equal(((0xE3069283 >> 15) | (0xE3069283 << 17)) + 0xA282EAD8, TensorBoardWriter.MaskedCrc("123456789"u8));

    [Fact]
    public void TensorBoards_file_holds_the_version_the_session_and_each_scalar_in_checked_frames()
    {
        using (var log = new MetricsLog(_directory.FullName, TimeProvider.System))
        {
            log.Write("train", 300, new Dictionary<string, double> { ["loss"] = 1.5 });
        }
        var frames = Frames(File.ReadAllBytes(Assert.Single(Directory.GetFiles(_directory.PathOf("tensorboard"), "events.out.tfevents.*"))));
        Assert.Equal(3, frames.Count);
        // Field 1 is the time, 9 bytes; then field 3, a text of 13 bytes.
        Assert.Equal([0x1A, 13, .. "brain.Event:2"u8], frames[0][9..]);
        // Step 1, then field 7, a session log whose field 1 is START.
        Assert.Equal([0x10, 1, 0x3A, 2, 0x08, 1], frames[1][9..]);
        // Step 300 in two bytes; field 5, a summary; its field 1, a value with tag and single-precision number 1.5.
        Assert.Equal([0x10, 0xAC, 0x02, 0x2A, 19, 0x0A, 17, 0x0A, 10, .. "train/loss"u8, 0x15, 0, 0, 0xC0, 0x3F], frames[2][9..]);
    }

    private string[] Lines() => File.ReadAllLines(_directory.PathOf("metrics.jsonl"), Encoding.UTF8);

    private static List<byte[]> Frames(byte[] file)
    {
        var frames = new List<byte[]>();
        for (int at = 0; at < file.Length;)
        {
            int length = (int)BinaryPrimitives.ReadInt64LittleEndian(file.AsSpan(at));
            Assert.Equal(TensorBoardWriter.MaskedCrc(file.AsSpan(at, 8)), BinaryPrimitives.ReadUInt32LittleEndian(file.AsSpan(at + 8)));
            frames.Add(file[(at + 12)..(at + 12 + length)]);
            Assert.Equal(TensorBoardWriter.MaskedCrc(frames[^1]), BinaryPrimitives.ReadUInt32LittleEndian(file.AsSpan(at + 12 + length)));
            at += 16 + length;
        }
        return frames;
    }
}
