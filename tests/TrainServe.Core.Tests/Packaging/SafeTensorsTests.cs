using System.Buffers.Binary;
using System.Text;
using CsCheck;
using TrainServe.Core.Packaging;

namespace TrainServe.Core.Tests.Packaging;

public sealed class SafeTensorsTests : IDisposable
{
    private readonly string _path = Path.GetTempFileName();

    public void Dispose() => File.Delete(_path);

    [Fact]
    public void What_is_written_reads_back_bit_for_bit()
    {
        Gen.Single.Array[0, 300].Array[1, 5].Sample(tensors =>
        {
            var written = tensors.Select((values, i) => SafeTensor.Singles($"t{i}", [values.Length], values)).ToArray();
            SafeTensorsWriter.Write(_path, written, new Dictionary<string, string> { ["note"] = "é" });
            using var reader = SafeTensorsReader.Open(_path);
            Assert.Equal("é", reader.Metadata["note"]);
            for (int i = 0; i < tensors.Length; i++)
            {
                Assert.Equal(tensors[i].Select(BitConverter.SingleToInt32Bits), reader.ReadSingles($"t{i}").Select(BitConverter.SingleToInt32Bits));
            }
        }, iter: 100, threads: 1);
    }

    [Fact]
    public void Half_precision_types_widen_to_the_values_they_stand_for()
    {
        SafeTensorsWriter.Write(_path,
        [
            SafeTensor.BFloat16("b", [3], new[] { 1f, -2.5f, 3.1415927f }),
            new SafeTensor("h", SafeTensorType.F16, [2], stream => stream.Write([0x00, 0x3C, 0x00, 0xC0])),
        ]);
        using var reader = SafeTensorsReader.Open(_path);
        Assert.Equal([1f, -2.5f, 3.140625f], reader.ReadSingles("b"));
        Assert.Equal([1f, -2f], reader.ReadSingles("h"));
    }

    [Theory]
    [InlineData(1f, 0x3F80)]
    [InlineData(1.00390625f, 0x3F80)] // halfway between two, the even one is below
    [InlineData(1.01171875f, 0x3F82)] // halfway between two, the even one is above
    [InlineData(float.PositiveInfinity, 0x7F80)]
    public void Rounding_to_bfloat16_takes_the_nearest_and_on_ties_the_even(float value, int bits) =>
        Assert.Equal(bits, BFloat16Bits.Round(value));

    [Fact]
    public void Not_a_number_stays_not_a_number_in_bfloat16() => Assert.True(float.IsNaN(BFloat16Bits.Widen(BFloat16Bits.Round(BitConverter.UInt32BitsToSingle(0x7F800001)))));

    [Theory]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}""", 4, "spans 4 bytes where its shape says 8")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", 8, "leaves a hole")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 4, "overlaps")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 3, "cut short")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 5, "follows the last tensor")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", 8, "not valid JSON")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}}""", 0, "overflows")]
    [InlineData("""{"a":{"dtype":"U8","shape":[9223372036854775807],"data_offsets":[0,9223372036854775807]}}""", 0, "ends beyond the file")]
    [InlineData("""{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}""", 4, "not a whole number")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}""", 4, "not a span")]
    [InlineData("""{"a":{"dtype":"Q9","shape":[1],"data_offsets":[0,4]}}""", 4, "type Q9")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1]}}""", 4, "needs dtype, shape and data_offsets")]
    [InlineData("""{"__metadata__":{"x":1}}""", 0, "not a string")]
    [InlineData("""[1]""", 0, "not a JSON object")]
    [InlineData("""{"\ud800":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 4, "half of a surrogate pair")]
    [InlineData("""{"a":{"dtype":"\ud800","shape":[1],"data_offsets":[0,4]}}""", 4, "half of a surrogate pair")]
    [InlineData("""{"__metadata__":{"x":"\udc00"}}""", 0, "half of a surrogate pair")]
    [InlineData("""{""", 0, "2 to 100000000")]
    public void A_header_that_breaks_a_rule_is_refused(string header, int dataBytes, string expected)
    {
        WriteRaw(Encoding.UTF8.GetBytes(header), dataBytes);
        var error = Assert.Throws<InvalidDataException>(() => SafeTensorsReader.Open(_path));
        Assert.Contains(expected, error.Message);
        Assert.Contains(_path, error.Message);
    }

    [Theory]
    [InlineData(long.MaxValue)]
    [InlineData(-1)]
    [InlineData(100_000_001)]
    [InlineData(1000)]
    public void A_header_length_beyond_the_file_or_the_limit_is_refused(long length)
    {
        var bytes = new byte[100];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, length);
        File.WriteAllBytes(_path, bytes);
        Assert.Throws<InvalidDataException>(() => SafeTensorsReader.Open(_path));
    }

    [Fact]
    public void A_header_that_is_not_utf8_is_refused()
    {
        WriteRaw([(byte)'{', (byte)'"', 0xFF, (byte)'"', (byte)':', (byte)'1', (byte)'}'], 0);
        Assert.Throws<InvalidDataException>(() => SafeTensorsReader.Open(_path));
    }

    [Fact]
    public void Random_bytes_never_open_and_never_crash() => Gen.Byte.Array[0, 300].Sample(bytes =>
    {
        File.WriteAllBytes(_path, bytes);
        Assert.Throws<InvalidDataException>(() => SafeTensorsReader.Open(_path));
    }, iter: 2000, threads: 1);

    [Fact]
    public void A_pickle_is_refused_with_what_to_do()
    {
        File.WriteAllBytes(_path, [0x80, 0x02, (byte)'}', (byte)'q', 0, (byte)'.', 0, 0, 0, 0]);
        Assert.Contains("convert it to safetensors", Assert.Throws<InvalidDataException>(() => SafeTensorsReader.Open(_path)).Message);
    }

    [Fact]
    public void A_tensor_that_writes_another_number_of_bytes_than_its_shape_leaves_the_old_file()
    {
        File.WriteAllText(_path, "old");
        Assert.Throws<ArgumentException>(() => SafeTensorsWriter.Write(_path, [new SafeTensor("a", SafeTensorType.F32, [2], stream => stream.WriteByte(1))]));
        Assert.Equal("old", File.ReadAllText(_path));
    }

    private void WriteRaw(byte[] header, int dataBytes)
    {
        using var stream = File.Create(_path);
        stream.Write(BitConverter.GetBytes((long)header.Length));
        stream.Write(header);
        stream.Write(new byte[dataBytes]);
    }
}
