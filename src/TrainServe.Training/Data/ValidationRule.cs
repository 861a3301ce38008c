namespace TrainServe.Training.Data;

/// <summary>How a corpus is divided into what is trained on and what is only measured.</summary>
public enum ValidationRule
{
    /// <summary><see cref="Documents"/> from 100 documents on, <see cref="Tail"/> below.</summary>
    Auto,

    /// <summary>Whole documents, chosen by a hash of their text: the same text is never on both sides, whatever its place.</summary>
    Documents,

    /// <summary>The last part of the token stream, as nanoGPT divides Shakespeare.</summary>
    Tail,
}
