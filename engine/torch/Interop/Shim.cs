using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Portal.Torch.Native;

/// <summary>The native functions of <c>native/portal_torch.cpp</c>, as they are; that file says what each does.</summary>
internal static unsafe partial class Shim
{
    private const string Library = "portal_torch";

    [ModuleInitializer]
    [System.Diagnostics.CodeAnalysis.SuppressMessage("Usage", "CA2255", Justification = "The resolver must stand before the first native call of any thread.")]
    internal static void Install() =>
        NativeLibrary.SetDllImportResolver(typeof(Shim).Assembly, static (name, _, _) => name == Library ? TorchLibrary.Load() : 0);

    [LibraryImport(Library)] internal static partial nint pt_find(byte* name, byte* overload);
    [LibraryImport(Library)] internal static partial int pt_call(nint op, Arg.Wire* args, int count, Arg.Wire* results, int room);
    [LibraryImport(Library)] internal static partial byte* pt_last_error();
    [LibraryImport(Library)] internal static partial void pt_free(void* memory);

    [LibraryImport(Library)] internal static partial nint pt_from_memory(void* data, long bytes, long* sizes, int rank, int dtype);
    [LibraryImport(Library)] internal static partial void pt_tensor_free(nint handle);
    [LibraryImport(Library)] internal static partial nint pt_tensor_share(nint handle);
    [LibraryImport(Library), SuppressGCTransition] internal static partial int pt_rank(nint handle);
    [LibraryImport(Library), SuppressGCTransition] internal static partial long pt_numel(nint handle);
    [LibraryImport(Library), SuppressGCTransition] internal static partial int pt_dtype(nint handle);
    [LibraryImport(Library), SuppressGCTransition] internal static partial long pt_element_size(nint handle);
    [LibraryImport(Library)] internal static partial int pt_sizes(nint handle, long* sizes);
    [LibraryImport(Library)] internal static partial int pt_strides(nint handle, long* strides);
    [LibraryImport(Library)] internal static partial long pt_storage_offset(nint handle);
    [LibraryImport(Library)] internal static partial long pt_device(nint handle);
    [LibraryImport(Library)] internal static partial int pt_flags(nint handle);
    [LibraryImport(Library)] internal static partial int pt_is_pinned(nint handle);
    [LibraryImport(Library)] internal static partial void* pt_data(nint handle);

    [LibraryImport(Library)] internal static partial int pt_set_requires_grad(nint handle, int on);
    [LibraryImport(Library)] internal static partial nint pt_grad(nint handle);
    [LibraryImport(Library)] internal static partial int pt_set_grad(nint handle, nint grad);
    [LibraryImport(Library)] internal static partial int pt_retain_grad(nint handle);
    [LibraryImport(Library)] internal static partial int pt_set_data(nint handle, nint other);
    [LibraryImport(Library)] internal static partial int pt_backward(nint* roots, int count, nint* grads, int retain, int create, nint* inputs, int inputCount);
    [LibraryImport(Library)] internal static partial int pt_gradients(nint* roots, int count, nint* grads, nint* inputs, int inputCount, int retain, int create, int allowUnused, nint* results);
    [LibraryImport(Library)] internal static partial int pt_grad_mode();
    [LibraryImport(Library)] internal static partial void pt_set_grad_mode(int on);
    [LibraryImport(Library)] internal static partial int pt_inference_mode();
    [LibraryImport(Library)] internal static partial nint pt_enter_inference_mode(int on);
    [LibraryImport(Library)] internal static partial void pt_leave_inference_mode(nint guard);

    [LibraryImport(Library)] internal static partial nint pt_generator_new(ulong seed, int deviceType, int deviceIndex);
    [LibraryImport(Library)] internal static partial nint pt_generator_default(int deviceType, int deviceIndex);
    [LibraryImport(Library)] internal static partial void pt_generator_free(nint handle);
    [LibraryImport(Library)] internal static partial int pt_generator_set_seed(nint handle, ulong seed);
    [LibraryImport(Library)] internal static partial int pt_generator_seed(nint handle, int renew, ulong* seed);
    [LibraryImport(Library)] internal static partial nint pt_generator_state(nint handle);
    [LibraryImport(Library)] internal static partial int pt_generator_set_state(nint handle, nint state);
    [LibraryImport(Library)] internal static partial int pt_manual_seed(ulong seed);

    [LibraryImport(Library)] internal static partial int pt_has_cuda();
    [LibraryImport(Library)] internal static partial int pt_has_cudnn();
    [LibraryImport(Library)] internal static partial int pt_device_count(int deviceType);
    [LibraryImport(Library)] internal static partial int pt_synchronize(int deviceType, int deviceIndex);
    [LibraryImport(Library)] internal static partial int pt_cuda_memory(long* freeBytes, long* totalBytes);
    [LibraryImport(Library)] internal static partial int pt_allow_tf32(int which, int set, int on);
    [LibraryImport(Library)] internal static partial int pt_num_threads();
    [LibraryImport(Library)] internal static partial int pt_num_interop_threads();
    [LibraryImport(Library)] internal static partial int pt_set_num_threads(int count);
    [LibraryImport(Library)] internal static partial int pt_set_num_interop_threads(int count);
    [LibraryImport(Library)] internal static partial int pt_deterministic(int set, int on, int warnOnly);
    [LibraryImport(Library)] internal static partial byte* pt_version();
    [LibraryImport(Library)] internal static partial byte* pt_loaded_from();
    [LibraryImport(Library)] internal static partial int pt_adam_step(nint* parameters, nint* gradients, nint* firsts, nint* seconds, long* steps, int count, double lr, double beta1, double beta2, double eps, double weightDecay, int decoupled, int maximize);

    /// <summary>The exception for what libtorch last complained about on this thread; the type TorchSharp uses.</summary>
    internal static ExternalException Failure() => new(Marshal.PtrToStringUTF8((nint)pt_last_error()));

    /// <summary>Throws when a native function answered -1.</summary>
    internal static int Check(int code) => code >= 0 ? code : throw Failure();

    /// <summary>Throws when a native function answered null.</summary>
    internal static nint Check(nint handle) => handle != 0 ? handle : throw Failure();
}
