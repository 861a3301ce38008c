using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace TrainServe.Inference.Kernels;

/// <summary>The types of a tensor's values, as ONNX Runtime numbers them.</summary>
internal enum TensorType
{
    Float = 1,
    Byte = 2,
    SignedByte = 3,
    Int32 = 6,
}

/// <summary>What an operator is: its name, its tensors, and the two functions that make it.</summary>
/// <param name="name">In the domain.</param>
/// <param name="inputs">The type of each.</param>
/// <param name="outputs">The type of each.</param>
internal sealed unsafe class OperatorDefinition(string name, TensorType[] inputs, TensorType[] outputs)
{
    public string Name { get; } = name;

    public TensorType[] Inputs { get; } = inputs;

    public TensorType[] Outputs { get; } = outputs;

    /// <summary>The input that may be left out, -1 where all are needed.</summary>
    public int OptionalInput { get; init; } = -1;

    /// <summary>Reads the node's attributes.</summary>
    public required delegate*<nint, KernelSettings*, void> Read { get; init; }

    /// <summary>Computes the outputs. May throw, and allocates nothing on the managed heap unless it does.</summary>
    public required delegate*<KernelSettings*, nint, void> Compute { get; init; }
}

/// <summary>The attributes of a node.</summary>
internal unsafe struct KernelSettings
{
    public delegate*<KernelSettings*, nint, void> Compute;
    public float Epsilon, Scale;
    public int Heads, KeyValueHeads;
}

/// <summary>struct OrtCustomOp of onnxruntime_c_api.h, followed by what the functions in it need to know.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct CustomOperator
{
    private uint _version;
    private void* _createKernel;
    private delegate* unmanaged<CustomOperator*, byte*> _name;
    private delegate* unmanaged<CustomOperator*, byte*> _provider;
    private delegate* unmanaged<CustomOperator*, nuint, int> _inputType;
    private delegate* unmanaged<CustomOperator*, nuint> _inputCount;
    private delegate* unmanaged<CustomOperator*, nuint, int> _outputType;
    private delegate* unmanaged<CustomOperator*, nuint> _outputCount;
    private void* _compute;
    private delegate* unmanaged<void*, void> _destroy;
    private delegate* unmanaged<CustomOperator*, nuint, int> _inputCharacteristic;
    private delegate* unmanaged<CustomOperator*, nuint, int> _outputCharacteristic;
    private delegate* unmanaged<CustomOperator*, nuint, int> _inputMemory;
    private delegate* unmanaged<CustomOperator*, int> _variadicInputMinimum, _variadicInputSame, _variadicOutputMinimum, _variadicOutputSame;
    private delegate* unmanaged<CustomOperator*, nint, nint, KernelSettings**, nint> _createKernelV2;
    private delegate* unmanaged<KernelSettings*, nint, nint> _computeV2;
    private void* _inferShape;
    private delegate* unmanaged<CustomOperator*, int> _startVersion, _endVersion;
    private void* _mayInPlace, _releaseMayInPlace, _aliases, _releaseAliases;

    private byte* _nameText;
    private int* _types;
    private int _inputs, _outputs, _optional;
    private delegate*<nint, KernelSettings*, void> _read;
    private delegate*<KernelSettings*, nint, void> _body;

    /// <summary>Lays an operator out in memory of its own, for as long as the process lives.</summary>
    public static CustomOperator* Create(OperatorDefinition definition)
    {
        var result = (CustomOperator*)NativeMemory.AllocZeroed((nuint)sizeof(CustomOperator));
        (result->_inputs, result->_outputs, result->_optional) = (definition.Inputs.Length, definition.Outputs.Length, definition.OptionalInput);
        result->_nameText = (byte*)Marshal.StringToCoTaskMemUTF8(definition.Name);
        result->_types = (int*)NativeMemory.Alloc((nuint)(result->_inputs + result->_outputs), sizeof(int));
        for (int i = 0; i < result->_inputs + result->_outputs; i++)
        {
            result->_types[i] = (int)(i < result->_inputs ? definition.Inputs[i] : definition.Outputs[i - result->_inputs]);
        }
        result->_read = definition.Read;
        result->_body = definition.Compute;
        result->_version = OrtApi.Version;
        result->_name = &Name;
        result->_provider = &Provider;
        result->_inputType = &InputType;
        result->_outputType = &OutputType;
        result->_inputCount = &InputCount;
        result->_outputCount = &OutputCount;
        result->_inputCharacteristic = &InputCharacteristic;
        result->_outputCharacteristic = &Default;
        result->_inputMemory = &Default;
        result->_variadicInputMinimum = &One;
        result->_variadicInputSame = &One;
        result->_variadicOutputMinimum = &One;
        result->_variadicOutputSame = &One;
        result->_createKernelV2 = &CreateKernel;
        result->_computeV2 = &ComputeKernel;
        result->_destroy = &Destroy;
        result->_startVersion = &One;
        result->_endVersion = &Unlimited;
        return result;
    }

    [UnmanagedCallersOnly]
    private static byte* Name(CustomOperator* self) => self->_nameText;

    // None means the processor's.
    [UnmanagedCallersOnly]
    private static byte* Provider(CustomOperator* self) => null;

    [UnmanagedCallersOnly]
    private static int InputType(CustomOperator* self, nuint index) => self->_types[index];

    [UnmanagedCallersOnly]
    private static int OutputType(CustomOperator* self, nuint index) => self->_types[self->_inputs + (int)index];

    [UnmanagedCallersOnly]
    private static nuint InputCount(CustomOperator* self) => (nuint)self->_inputs;

    [UnmanagedCallersOnly]
    private static nuint OutputCount(CustomOperator* self) => (nuint)self->_outputs;

    [UnmanagedCallersOnly]
    private static int InputCharacteristic(CustomOperator* self, nuint index) => (int)index == self->_optional ? 1 : 0;

    [UnmanagedCallersOnly]
    private static int Default(CustomOperator* self, nuint index) => 0;

    [UnmanagedCallersOnly]
    private static int One(CustomOperator* self) => 1;

    [UnmanagedCallersOnly]
    private static int Unlimited(CustomOperator* self) => int.MaxValue;

    [UnmanagedCallersOnly]
    private static void Destroy(void* settings) => NativeMemory.Free(settings);

    [UnmanagedCallersOnly]
    private static nint CreateKernel(CustomOperator* self, nint api, nint info, KernelSettings** kernel)
    {
        var settings = (KernelSettings*)NativeMemory.AllocZeroed((nuint)sizeof(KernelSettings));
        try
        {
            settings->Compute = self->_body;
            self->_read(info, settings);
            *kernel = settings;
            return 0;
        }
        catch (Exception error) when (error is InvalidOperationException or OverflowException)
        {
            NativeMemory.Free(settings);
            return OrtApi.Failure(error.Message);
        }
    }

    [UnmanagedCallersOnly]
    private static nint ComputeKernel(KernelSettings* settings, nint context)
    {
        try
        {
            settings->Compute(settings, context);
            return 0;
        }
        catch (Exception error) when (error is InvalidOperationException or OverflowException)
        {
            return OrtApi.Failure(error.Message);
        }
    }
}
