namespace TrainServe.Inference.Execution;

/// <summary>Walks over the fields of one protobuf message without knowing its schema.</summary>
/// <remarks>https://protobuf.dev/programming-guides/encoding. Numbers are skipped; strings, bytes and messages are given as they lie.</remarks>
internal ref struct ProtobufFields(ReadOnlySpan<byte> message)
{
    private ReadOnlySpan<byte> _rest = message;

    /// <summary>Number of the current field.</summary>
    public int Number { get; private set; }

    /// <summary>Content of the current field.</summary>
    public ReadOnlySpan<byte> Content { get; private set; }

    /// <summary>Goes to the next field that holds bytes; false at the end.</summary>
    /// <exception cref="InvalidDataException">This is no protobuf message.</exception>
    public bool Next()
    {
        while (!_rest.IsEmpty)
        {
            ulong tag = Varint();
            // Other readers drop the bits above 32 and would see another field than we do.
            if (tag > uint.MaxValue)
            {
                throw Broken();
            }
            Number = (int)(tag >> 3);
            switch (tag & 7)
            {
                case 0:
                    Varint();
                    break;
                case 1:
                    Take(sizeof(ulong));
                    break;
                case 2:
                    Content = Take(Varint());
                    return true;
                case 5:
                    Take(sizeof(uint));
                    break;
                default:
                    throw Broken();
            }
        }
        return false;
    }

    private ReadOnlySpan<byte> Take(ulong length)
    {
        if (length > (ulong)_rest.Length)
        {
            throw Broken();
        }
        var taken = _rest[..(int)length];
        _rest = _rest[(int)length..];
        return taken;
    }

    private ulong Varint()
    {
        ulong value = 0;
        for (int shift = 0; shift < 64 && !_rest.IsEmpty; shift += 7)
        {
            byte part = _rest[0];
            _rest = _rest[1..];
            value |= (ulong)(part & 0x7F) << shift;
            if (part < 0x80)
            {
                return value;
            }
        }
        throw Broken();
    }

    private static InvalidDataException Broken() => new("This is no protobuf message.");
}
