namespace TrainServe.Training.Recipes;

/// <summary>A piece of a recipe as it was written, with the place to name when it is wrong.</summary>
/// <param name="Place"><c>file:line</c>, or the option <c>--set key=value</c>.</param>
internal abstract record RecipeNode(string Place);

/// <param name="Text">Null for YAML's null.</param>
internal sealed record RecipeScalar(string Place, string? Text) : RecipeNode(Place);

internal sealed record RecipeList(string Place, List<RecipeNode> Items) : RecipeNode(Place);

internal sealed record RecipeMap(string Place, Dictionary<string, RecipeNode> Entries) : RecipeNode(Place)
{
    public RecipeNode? this[string key] => Entries.GetValueOrDefault(key);
}
