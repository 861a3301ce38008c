using System.Collections.Immutable;
using System.Reflection;
using System.Reflection.Emit;
using System.Reflection.Metadata;
using System.Reflection.Metadata.Ecma335;
using System.Reflection.PortableExecutable;
using TorchSharp;
using TrainServe.Model;

namespace TrainServe.Cli.Tests;

/// <summary>TorchSharp does not keep a number's Scalar alive during a native call; only those of <see cref="LiveScalar"/> are safe from the collector on another thread.</summary>
public sealed class ScalarLifetimeTests
{
    private const string MakesScalar = "TorchSharp.ScalarExtensionMethods::ToScalar(";
    private static readonly OpCode[] OneByte = Codes(size: 1), TwoBytes = Codes(size: 2);

    [Fact]
    public void No_number_is_handed_to_libtorch_that_a_collection_could_free_during_the_call()
    {
        var hazards = Hazards();
        string[] ours = [.. Directory.EnumerateFiles(AppContext.BaseDirectory, "*.dll")
            .Where(path => Path.GetFileName(path) is var name && name.StartsWith("trainserve", StringComparison.OrdinalIgnoreCase) && !name.Contains("Test", StringComparison.Ordinal))];
        var calls = ours.SelectMany(Calls).ToList();
        var found = calls.Where(call => hazards.Contains(call.Callee) && !call.Caller.StartsWith($"{typeof(LiveScalar).FullName}::", StringComparison.Ordinal));
        Assert.Contains(calls, call => call.Callee.StartsWith($"{typeof(LiveScalar).FullName}::Plus(", StringComparison.Ordinal));
        Assert.Equal("", string.Join(Environment.NewLine, found.Select(call => $"{call.Caller} calls {call.Callee}: use TrainServe.Model.LiveScalar").Distinct(StringComparer.Ordinal)));
    }

    [Fact]
    public void The_sum_operator_of_tensors_is_known_to_make_such_a_number() =>
        Assert.Contains("TorchSharp.torch/Tensor::op_Addition(TorchSharp.torch/Tensor,TorchSharp.torch/Tensor)", Hazards());

    // What makes a Scalar, and what calls that, at any distance.
    private static HashSet<string> Hazards()
    {
        var calls = Calls(typeof(Scalar).Assembly.Location);
        var callers = calls.ToLookup(call => call.Callee, call => call.Caller, StringComparer.Ordinal);
        var hazards = calls.Select(call => call.Callee).Where(callee => callee.StartsWith(MakesScalar, StringComparison.Ordinal)).ToHashSet(StringComparer.Ordinal);
        var left = new Queue<string>(hazards);
        while (left.TryDequeue(out string? hazard))
        {
            foreach (string caller in callers[hazard].Where(hazards.Add))
            {
                left.Enqueue(caller);
            }
        }
        return hazards;
    }

    private static List<(string Caller, string Callee)> Calls(string assembly)
    {
        using var image = new PEReader(File.OpenRead(assembly));
        var metadata = image.GetMetadataReader();
        var names = new Names(metadata);
        var calls = new List<(string, string)>();
        foreach (var handle in metadata.MethodDefinitions)
        {
            int address = metadata.GetMethodDefinition(handle).RelativeVirtualAddress;
            if (address != 0)
            {
                string caller = names.OfMethod(handle);
                calls.AddRange(MethodTokens(image.GetMethodBody(address).GetILContent()).Select(token => (caller, names.OfMethod(MetadataTokens.EntityHandle(token)))));
            }
        }
        return calls;
    }

    private static IEnumerable<int> MethodTokens(ImmutableArray<byte> code)
    {
        for (int at = 0; at < code.Length;)
        {
            var operation = code[at] == 0xFE ? TwoBytes[code[at + 1]] : OneByte[code[at]];
            at += operation.Size;
            if (operation.OperandType == OperandType.InlineMethod)
            {
                yield return BitConverter.ToInt32(code.AsSpan()[at..]);
            }
            at += operation.OperandType switch
            {
                OperandType.InlineNone => 0,
                OperandType.ShortInlineBrTarget or OperandType.ShortInlineI or OperandType.ShortInlineVar => 1,
                OperandType.InlineVar => 2,
                OperandType.InlineI8 or OperandType.InlineR => 8,
                OperandType.InlineSwitch => 4 + 4 * BitConverter.ToInt32(code.AsSpan()[at..]),
                _ => 4,
            };
        }
    }

    private static OpCode[] Codes(int size)
    {
        var codes = new OpCode[256];
        foreach (var code in typeof(OpCodes).GetFields(BindingFlags.Public | BindingFlags.Static).Select(field => (OpCode)field.GetValue(null)!).Where(code => code.Size == size))
        {
            codes[(byte)code.Value] = code;
        }
        return codes;
    }

    /// <summary>Names with parameter types, equal for a method and a reference to it from another assembly.</summary>
    private sealed class Names(MetadataReader metadata) : ISignatureTypeProvider<string, object?>
    {
        public string OfMethod(EntityHandle handle)
        {
            switch (handle.Kind)
            {
                case HandleKind.MethodSpecification:
                    return OfMethod(metadata.GetMethodSpecification((MethodSpecificationHandle)handle).Method);
                case HandleKind.MethodDefinition:
                    var method = metadata.GetMethodDefinition((MethodDefinitionHandle)handle);
                    return Join(OfType(method.GetDeclaringType()), method.Name, method.DecodeSignature(this, null));
                default:
                    var member = metadata.GetMemberReference((MemberReferenceHandle)handle);
                    return Join(OfType(member.Parent), member.Name, member.DecodeMethodSignature(this, null));
            }
        }

        public string GetTypeFromDefinition(MetadataReader reader, TypeDefinitionHandle handle, byte rawTypeKind) => OfType(handle);

        public string GetTypeFromReference(MetadataReader reader, TypeReferenceHandle handle, byte rawTypeKind) => OfType(handle);

        public string GetTypeFromSpecification(MetadataReader reader, object? genericContext, TypeSpecificationHandle handle, byte rawTypeKind) => OfType(handle);

        public string GetArrayType(string elementType, ArrayShape shape) => $"{elementType}[{shape.Rank}]";

        public string GetByReferenceType(string elementType) => $"{elementType}&";

        public string GetFunctionPointerType(MethodSignature<string> signature) => "function";

        public string GetGenericInstantiation(string genericType, ImmutableArray<string> typeArguments) => $"{genericType}<{string.Join(',', typeArguments)}>";

        public string GetGenericMethodParameter(object? genericContext, int index) => $"!!{index}";

        public string GetGenericTypeParameter(object? genericContext, int index) => $"!{index}";

        public string GetModifiedType(string modifier, string unmodifiedType, bool isRequired) => unmodifiedType;

        public string GetPinnedType(string elementType) => elementType;

        public string GetPointerType(string elementType) => $"{elementType}*";

        public string GetPrimitiveType(PrimitiveTypeCode typeCode) => typeCode.ToString();

        public string GetSZArrayType(string elementType) => $"{elementType}[]";

        private string Join(string type, StringHandle name, MethodSignature<string> signature) => $"{type}::{metadata.GetString(name)}({string.Join(',', signature.ParameterTypes)})";

        private string OfType(EntityHandle handle)
        {
            switch (handle.Kind)
            {
                case HandleKind.TypeDefinition:
                    var definition = metadata.GetTypeDefinition((TypeDefinitionHandle)handle);
                    return definition.GetDeclaringType() is { IsNil: false } outer ? $"{OfType(outer)}/{metadata.GetString(definition.Name)}" : Full(definition.Namespace, definition.Name);
                case HandleKind.TypeReference:
                    var reference = metadata.GetTypeReference((TypeReferenceHandle)handle);
                    return reference.ResolutionScope.Kind == HandleKind.TypeReference ? $"{OfType(reference.ResolutionScope)}/{metadata.GetString(reference.Name)}" : Full(reference.Namespace, reference.Name);
                default:
                    return metadata.GetTypeSpecification((TypeSpecificationHandle)handle).DecodeSignature(this, null);
            }
        }

        private string Full(StringHandle space, StringHandle name) => $"{metadata.GetString(space)}.{metadata.GetString(name)}";
    }
}
