namespace TrainServe.Core.Sampling;

/// <summary>Says before each token which tokens may come next, so that an answer keeps to a form. One instance serves one answer.</summary>
/// <remarks>Called by the engine's thread while every other request waits: what takes long, like compiling a schema, belongs before the request. An exception ends that request alone.</remarks>
public interface ILogitsConstraint
{
    /// <summary>Writes minus infinity over each token that must not come next and leaves the others as they are. When the form is complete only tokens that end the answer are left.</summary>
    /// <param name="logits">[V]</param>
    void Mask(Span<float> logits);

    /// <summary>Takes the token that was chosen. Not called for the token that ends the answer.</summary>
    void Accept(int id);
}
