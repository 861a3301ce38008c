namespace TrainServe.Core.Packaging;

/// <summary>Element types of the safetensors format that this code reads or writes.</summary>
public enum SafeTensorType
{
    F64, F32, BF16, F16, I64, I32, I16, I8, U8, Bool,
}

/// <summary>Sizes and spellings of <see cref="SafeTensorType"/>.</summary>
public static class SafeTensorTypes
{
    public static int SizeBytes(this SafeTensorType type) => type switch
    {
        SafeTensorType.F64 or SafeTensorType.I64 => 8,
        SafeTensorType.F32 or SafeTensorType.I32 => 4,
        SafeTensorType.BF16 or SafeTensorType.F16 or SafeTensorType.I16 => 2,
        _ => 1,
    };

    /// <summary>The word in the file's header.</summary>
    public static string Word(this SafeTensorType type) => type switch
    {
        SafeTensorType.Bool => "BOOL",
        _ => type.ToString(),
    };

    public static bool TryParse(string word, out SafeTensorType type)
    {
        foreach (var candidate in Enum.GetValues<SafeTensorType>())
        {
            if (candidate.Word() == word)
            {
                type = candidate;
                return true;
            }
        }
        type = default;
        return false;
    }
}
