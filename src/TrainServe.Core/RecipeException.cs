namespace TrainServe.Core;

/// <summary>A recipe or an argument that the user can mend; the message names the file and line, or the option, and the rule.</summary>
public sealed class RecipeException : Exception
{
    public RecipeException(string message) : base(message)
    {
    }

    public RecipeException(string message, Exception inner) : base(message, inner)
    {
    }
}
