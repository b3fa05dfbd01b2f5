// The one door from C# to libtorch.
//
// Every operator is reached through the dispatcher: pt_find looks its schema up once, pt_call puts tagged values on a
// stack, fills in the schema's defaults for arguments the caller left out, and calls it boxed. So a new operator needs no
// new native code, and an argument that a later libtorch added to a schema needs none either. Beside that stand the things
// that are no operators: memory, gradients, modes, generators, devices, threads, and one fused optimiser step.
//
// Contract: no C++ exception leaves this file. Functions that can fail return -1 (or null) and leave the message in
// pt_last_error() of the calling thread. A tensor handle is an owned c10::TensorImpl*; pt_tensor_free gives it back.
// Built against libtorch 1.13 and 2.x; CUDA is reached through the dispatcher and the device guards only, so the same
// source serves a build without CUDA's headers.

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/version.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <string>
#include <vector>

#define PT_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

enum Tag : int32_t {
  kNone = 0, kTensor = 1, kInt = 2, kDouble = 3, kBool = 4, kInts = 5, kTensors = 6, kString = 7, kDevice = 8,
  kGenerator = 9, kDoubles = 10, kComplex = 11,
};

// Mirrors Portal.Torch.Native.Arg.Wire: 24 bytes, no padding surprises.
struct Arg {
  int32_t tag;
  int32_t count;    // list length, string bytes, or device index
  union { int64_t i; double d; void* p; };
  double imaginary; // complex scalars only
};
static_assert(sizeof(Arg) == 24, "Arg is shared with C#");

// What the schema wants in each place, worked out once per operator.
enum Want : uint8_t { kAny, kFloat, kFloats, kInteger, kOptionalTensors, kTensorList, kIntegers };

struct Op {
  c10::OperatorHandle handle;
  size_t arity;
  size_t returns;
  std::vector<Want> wants;
  std::vector<c10::IValue> defaults;
  std::vector<bool> hasDefault;
};

thread_local std::string lastError;

int fail(const std::string& message) { lastError = message; return -1; }

// Runs `body`, turning whatever it throws into a message and `failed`.
template <typename Result, typename Body>
Result guarded(Result failed, Body&& body) noexcept {
  try {
    return body();
  } catch (const c10::Error& e) {
    try { lastError = e.what_without_backtrace(); } catch (...) { lastError.clear(); }
  } catch (const std::exception& e) {
    try { lastError = e.what(); } catch (...) { lastError.clear(); }
  } catch (...) {
    try { lastError = "libtorch threw something that is no std::exception."; } catch (...) { lastError.clear(); }
  }
  return failed;
}

at::Tensor borrow(void* handle) {
  if (handle == nullptr) return at::Tensor();
  return at::Tensor(c10::intrusive_ptr<c10::TensorImpl>::reclaim_copy(static_cast<c10::TensorImpl*>(handle)));
}

void* own(at::Tensor tensor) { return tensor.defined() ? tensor.unsafeReleaseTensorImpl() : nullptr; }

at::Generator borrowGenerator(void* handle) {
  return at::Generator(c10::intrusive_ptr<c10::GeneratorImpl>::reclaim_copy(static_cast<c10::GeneratorImpl*>(handle)));
}

c10::Device deviceOf(int32_t type, int32_t index) {
  return c10::Device(static_cast<c10::DeviceType>(type), static_cast<c10::DeviceIndex>(index));
}

Want wantOf(const c10::TypePtr& declared) {
  c10::TypePtr type = declared;
  if (auto optional = type->cast<c10::OptionalType>()) type = optional->getElementType();
  switch (type->kind()) {
    case c10::TypeKind::FloatType: return kFloat;
    case c10::TypeKind::IntType: return kInteger;
    case c10::TypeKind::ListType: {
      auto element = type->castRaw<c10::ListType>()->getElementType();
      if (element->kind() == c10::TypeKind::FloatType) return kFloats;
      if (element->kind() == c10::TypeKind::TensorType) return kTensorList;
      if (element->kind() == c10::TypeKind::OptionalType) return kOptionalTensors;
      return kIntegers;
    }
    default: return kAny;
  }
}

c10::IValue toIValue(const Arg& arg, Want want) {
  switch (arg.tag) {
    case kNone: return c10::IValue();
    case kTensor: return c10::IValue(borrow(arg.p));
    case kInt:
      if (want == kFloat) return c10::IValue(static_cast<double>(arg.i));
      if (want == kIntegers) { c10::List<int64_t> one; one.push_back(arg.i); return c10::IValue(std::move(one)); }
      return c10::IValue(arg.i);
    case kDouble: return c10::IValue(arg.d);
    case kBool: return c10::IValue(arg.i != 0);
    case kInts:
      if (want == kFloats) {
        c10::List<double> list;
        list.reserve(static_cast<size_t>(arg.count));
        for (int32_t k = 0; k < arg.count; k++) list.push_back(static_cast<double>(static_cast<const int64_t*>(arg.p)[k]));
        return c10::IValue(std::move(list));
      }
      return c10::IValue(at::IntArrayRef(static_cast<const int64_t*>(arg.p), static_cast<size_t>(arg.count)));
    case kDoubles: return c10::IValue(at::ArrayRef<double>(static_cast<const double*>(arg.p), static_cast<size_t>(arg.count)));
    case kTensors: {
      void** handles = static_cast<void**>(arg.p);
      if (want == kOptionalTensors) {
        // Generic, because the class of optional values changed between libtorch 1.13 and 2.x.
        c10::impl::GenericList list(c10::OptionalType::ofTensor());
        list.reserve(static_cast<size_t>(arg.count));
        for (int32_t k = 0; k < arg.count; k++) list.push_back(handles[k] ? c10::IValue(borrow(handles[k])) : c10::IValue());
        return c10::IValue(std::move(list));
      }
      c10::List<at::Tensor> list;
      list.reserve(static_cast<size_t>(arg.count));
      for (int32_t k = 0; k < arg.count; k++) list.push_back(borrow(handles[k]));
      return c10::IValue(std::move(list));
    }
    case kString: return c10::IValue(std::string(static_cast<const char*>(arg.p), static_cast<size_t>(arg.count)));
    case kDevice: return c10::IValue(deviceOf(static_cast<int32_t>(arg.i), arg.count));
    case kGenerator: return c10::IValue(borrowGenerator(arg.p));
    case kComplex: return c10::IValue(c10::complex<double>(arg.d, arg.imaginary));
    default: TORCH_CHECK(false, "unknown argument tag ", arg.tag);
  }
}

// Lists of tensors cross as a malloc'ed array of owned handles; C# reads it and calls pt_free.
void toResult(c10::IValue&& value, Arg& out) {
  out = Arg{kNone, 0, {0}, 0.0};
  if (value.isTensor()) {
    out.tag = kTensor;
    out.p = own(std::move(value).toTensor());
  } else if (value.isTensorList()) {
    auto list = std::move(value).toTensorVector();
    void** handles = static_cast<void**>(std::malloc(sizeof(void*) * (list.size() + 1)));
    TORCH_CHECK(handles != nullptr, "out of memory for ", list.size(), " tensor handles");
    for (size_t k = 0; k < list.size(); k++) handles[k] = own(std::move(list[k]));
    out.tag = kTensors;
    out.count = static_cast<int32_t>(list.size());
    out.p = handles;
  } else if (value.isInt()) {
    out.tag = kInt;
    out.i = value.toInt();
  } else if (value.isDouble()) {
    out.tag = kDouble;
    out.d = value.toDouble();
  } else if (value.isBool()) {
    out.tag = kBool;
    out.i = value.toBool() ? 1 : 0;
  } else if (value.isComplexDouble()) {
    auto z = value.toComplexDouble();
    out.tag = kComplex;
    out.d = z.real();
    out.imaginary = z.imag();
  } else if (!value.isNone()) {
    TORCH_CHECK(false, "an operator returned a value of a kind this binding does not carry: ", value.tagKind());
  }
}

void freeResult(Arg& result) {
  if (result.tag == kTensor && result.p != nullptr) {
    c10::raw::intrusive_ptr::decref(static_cast<c10::TensorImpl*>(result.p));
  } else if (result.tag == kTensors) {
    for (int32_t k = 0; k < result.count; k++) {
      auto* impl = static_cast<c10::TensorImpl**>(result.p)[k];
      if (impl != nullptr) c10::raw::intrusive_ptr::decref(impl);
    }
    std::free(result.p);
  }
  result = Arg{kNone, 0, {0}, 0.0};
}

std::vector<at::Tensor> borrowAll(void** handles, int64_t count) {
  std::vector<at::Tensor> tensors;
  tensors.reserve(static_cast<size_t>(count));
  for (int64_t k = 0; k < count; k++) tensors.push_back(borrow(handles[k]));
  return tensors;
}

// One pass over memory per parameter instead of PyTorch's seven; the arithmetic is PyTorch's AdamW, operation by operation
// and in float32 (no fused multiply-add), so that trajectories agree to the last bits. Compiled once per instruction set.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
void adamStripe(float* __restrict p, const float* __restrict g, float* __restrict m, float* __restrict v, int64_t n,
                float decay, float l2, float beta1, float beta2, float rest1, float rest2, float bias2Root, float eps, float stepSize,
                float sign) {
  for (int64_t k = 0; k < n; k++) {
    float weight = p[k] * decay;
    float gradient = sign * g[k] + l2 * weight;
    float first = m[k] * beta1 + gradient * rest1;
    float second = v[k] * beta2 + (gradient * gradient) * rest2;
    m[k] = first;
    v[k] = second;
    float denominator = std::sqrt(second) / bias2Root + eps;
    p[k] = weight - stepSize * (first / denominator);
  }
}

bool plainFloat(const at::Tensor& t) {
  return t.defined() && t.device().is_cpu() && t.scalar_type() == at::kFloat && t.layout() == at::kStrided && t.is_contiguous();
}

void syncVersion(const at::Tensor& t) { t.unsafeGetTensorImpl()->bump_version(); }

} // namespace

// ---- operators ----------------------------------------------------------------------------------------------------------

/// Looks an operator up; null and a message when this libtorch has none of that name. The handle lives as long as the process.
PT_EXPORT void* pt_find(const char* name, const char* overload) noexcept {
  return guarded<void*>(nullptr, [&]() -> void* {
    auto handle = c10::Dispatcher::singleton().findSchemaOrThrow(name, overload);
    const auto& schema = handle.schema();
    auto* op = new Op{handle, schema.arguments().size(), schema.returns().size(), {}, {}, {}};
    for (const auto& argument : schema.arguments()) {
      op->wants.push_back(wantOf(argument.type()));
      op->hasDefault.push_back(argument.default_value().has_value());
      op->defaults.push_back(argument.default_value().has_value() ? *argument.default_value() : c10::IValue());
    }
    return op;
  });
}

/// Calls it. Results beyond `room` are dropped (in-place operators are called with room 0). Returns how many were written.
PT_EXPORT int32_t pt_call(void* opHandle, const Arg* args, int32_t count, Arg* results, int32_t room) noexcept {
  return guarded<int32_t>(-1, [&]() -> int32_t {
    auto& op = *static_cast<Op*>(opHandle);
    if (static_cast<size_t>(count) > op.arity)
      return fail(c10::str(op.handle.schema().name(), " takes ", op.arity, " arguments, ", count, " were given"));
    torch::jit::Stack stack;
    stack.reserve(op.arity + op.returns);
    for (int32_t k = 0; k < count; k++) stack.push_back(toIValue(args[k], op.wants[static_cast<size_t>(k)]));
    for (size_t k = static_cast<size_t>(count); k < op.arity; k++) {
      if (!op.hasDefault[k])
        return fail(c10::str(op.handle.schema().name(), " needs its argument '", op.handle.schema().arguments()[k].name(), "'"));
      stack.push_back(op.defaults[k]);
    }
    op.handle.callBoxed(stack);
    int32_t written = 0;
    try {
      for (; written < room && static_cast<size_t>(written) < stack.size(); written++)
        toResult(std::move(stack[static_cast<size_t>(written)]), results[written]);
    } catch (...) {
      for (int32_t k = 0; k < written; k++) freeResult(results[k]);
      throw;
    }
    return written;
  });
}

PT_EXPORT const char* pt_last_error() noexcept { return lastError.c_str(); }

PT_EXPORT void pt_free(void* memory) noexcept { std::free(memory); }

// ---- tensors ------------------------------------------------------------------------------------------------------------

/// A new CPU tensor holding a copy of `bytes` bytes at `data`.
PT_EXPORT void* pt_from_memory(const void* data, int64_t bytes, const int64_t* sizes, int32_t rank, int32_t dtype) noexcept {
  return guarded<void*>(nullptr, [&]() -> void* {
    auto options = at::TensorOptions().dtype(static_cast<at::ScalarType>(dtype));
    auto tensor = at::empty(at::IntArrayRef(sizes, static_cast<size_t>(rank)), options);
    TORCH_CHECK(static_cast<int64_t>(tensor.nbytes()) == bytes, "the array holds ", bytes, " bytes, a tensor of this shape ", tensor.nbytes());
    if (bytes > 0) std::memcpy(tensor.data_ptr(), data, static_cast<size_t>(bytes));
    return own(std::move(tensor));
  });
}

PT_EXPORT void pt_tensor_free(void* handle) noexcept {
  guarded<int>(0, [&] { if (handle) c10::raw::intrusive_ptr::decref(static_cast<c10::TensorImpl*>(handle)); return 0; });
}

/// Another owner of the same tensor.
PT_EXPORT void* pt_tensor_share(void* handle) noexcept {
  return guarded<void*>(nullptr, [&] { return own(borrow(handle)); });
}

PT_EXPORT int32_t pt_rank(void* handle) noexcept { return static_cast<int32_t>(static_cast<c10::TensorImpl*>(handle)->dim()); }
PT_EXPORT int64_t pt_numel(void* handle) noexcept {
  return guarded<int64_t>(-1, [&] { return static_cast<c10::TensorImpl*>(handle)->numel(); });
}
PT_EXPORT int32_t pt_dtype(void* handle) noexcept {
  return guarded<int32_t>(-1, [&] { return static_cast<int32_t>(c10::typeMetaToScalarType(static_cast<c10::TensorImpl*>(handle)->dtype())); });
}
PT_EXPORT int64_t pt_element_size(void* handle) noexcept {
  return static_cast<int64_t>(static_cast<c10::TensorImpl*>(handle)->dtype().itemsize());
}
PT_EXPORT int32_t pt_sizes(void* handle, int64_t* sizes) noexcept {
  return guarded<int32_t>(-1, [&] {
    auto all = static_cast<c10::TensorImpl*>(handle)->sizes();
    std::copy(all.begin(), all.end(), sizes);
    return static_cast<int32_t>(all.size());
  });
}
PT_EXPORT int32_t pt_strides(void* handle, int64_t* strides) noexcept {
  return guarded<int32_t>(-1, [&] {
    auto all = static_cast<c10::TensorImpl*>(handle)->strides();
    std::copy(all.begin(), all.end(), strides);
    return static_cast<int32_t>(all.size());
  });
}
PT_EXPORT int64_t pt_storage_offset(void* handle) noexcept {
  return guarded<int64_t>(-1, [&] { return borrow(handle).storage_offset(); });
}
/// Low half the device type, high half the index (-1 when the device has none).
PT_EXPORT int64_t pt_device(void* handle) noexcept {
  return guarded<int64_t>(-1, [&] {
    auto device = static_cast<c10::TensorImpl*>(handle)->device();
    return (static_cast<int64_t>(device.has_index() ? device.index() : -1) << 32) | static_cast<int64_t>(static_cast<uint32_t>(device.type()));
  });
}
enum Flag : int32_t { kContiguous = 1, kLeaf = 2, kRequiresGrad = 4, kSparse = 8, kPinned = 16, kInference = 32 };
PT_EXPORT int32_t pt_flags(void* handle) noexcept {
  return guarded<int32_t>(-1, [&] {
    auto tensor = borrow(handle);
    return (tensor.layout() == at::kStrided && tensor.is_contiguous() ? kContiguous : 0) | (tensor.is_leaf() ? kLeaf : 0)
         | (tensor.requires_grad() ? kRequiresGrad : 0) | (tensor.is_sparse() ? kSparse : 0) | (tensor.is_inference() ? kInference : 0);
  });
}
PT_EXPORT int32_t pt_is_pinned(void* handle) noexcept {
  return guarded<int32_t>(-1, [&] { return borrow(handle).is_pinned() ? 1 : 0; });
}
PT_EXPORT void* pt_data(void* handle) noexcept {
  return guarded<void*>(nullptr, [&] { return borrow(handle).data_ptr(); });
}

// ---- gradients ----------------------------------------------------------------------------------------------------------

PT_EXPORT int32_t pt_set_requires_grad(void* handle, int32_t on) noexcept {
  return guarded<int32_t>(-1, [&] {
    auto tensor = borrow(handle);
    TORCH_CHECK(!on || at::isFloatingType(tensor.scalar_type()) || at::isComplexType(tensor.scalar_type()),
                "only Tensors of floating point dtype can require gradients");
    TORCH_CHECK(on || tensor.is_leaf(), "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a subgraph that doesn't require differentiation use detach().");
    tensor.set_requires_grad(on != 0);
    return 0;
  });
}
/// Null when there is none.
PT_EXPORT void* pt_grad(void* handle) noexcept {
  return guarded<void*>(nullptr, [&]() -> void* {
    lastError.clear();
    auto tensor = borrow(handle);
    return own(tensor.grad());
  });
}
PT_EXPORT int32_t pt_set_grad(void* handle, void* grad) noexcept {
  return guarded<int32_t>(-1, [&] {
    auto tensor = borrow(handle);
    auto value = borrow(grad);
    TORCH_CHECK(!value.defined() || value.sizes() == tensor.sizes(), "the gradient has shape ", value.sizes(), ", the tensor ", tensor.sizes());
    tensor.mutable_grad() = value;
    return 0;
  });
}
PT_EXPORT int32_t pt_retain_grad(void* handle) noexcept {
  return guarded<int32_t>(-1, [&] { borrow(handle).retain_grad(); return 0; });
}
/// The tensor keeps its identity (and its place in optimisers) but takes the other's values, type and device.
PT_EXPORT int32_t pt_set_data(void* handle, void* other) noexcept {
  return guarded<int32_t>(-1, [&] { borrow(handle).set_data(borrow(other)); return 0; });
}
PT_EXPORT int32_t pt_backward(void** roots, int32_t count, void** grads, int32_t retain, int32_t create, void** inputs, int32_t inputCount) noexcept {
  return guarded<int32_t>(-1, [&] {
    auto seeds = grads ? borrowAll(grads, count) : std::vector<at::Tensor>();
    torch::autograd::backward(borrowAll(roots, count), seeds, retain != 0, create != 0, borrowAll(inputs, inputCount));
    return 0;
  });
}
PT_EXPORT int32_t pt_gradients(void** roots, int32_t count, void** grads, void** inputs, int32_t inputCount, int32_t retain,
                               int32_t create, int32_t allowUnused, void** out) noexcept {
  return guarded<int32_t>(-1, [&] {
    auto seeds = grads ? borrowAll(grads, count) : std::vector<at::Tensor>();
    auto all = torch::autograd::grad(borrowAll(roots, count), borrowAll(inputs, inputCount), seeds, retain != 0, create != 0, allowUnused != 0);
    for (size_t k = 0; k < all.size(); k++) out[k] = own(std::move(all[k]));
    return 0;
  });
}
PT_EXPORT int32_t pt_grad_mode() noexcept { return c10::GradMode::is_enabled() ? 1 : 0; }
PT_EXPORT void pt_set_grad_mode(int32_t on) noexcept { c10::GradMode::set_enabled(on != 0); }
PT_EXPORT int32_t pt_inference_mode() noexcept { return c10::InferenceMode::is_enabled() ? 1 : 0; }
PT_EXPORT void* pt_enter_inference_mode(int32_t on) noexcept {
  return guarded<void*>(nullptr, [&] { return new c10::InferenceMode(on != 0); });
}
PT_EXPORT void pt_leave_inference_mode(void* guard) noexcept { delete static_cast<c10::InferenceMode*>(guard); }

// ---- generators ---------------------------------------------------------------------------------------------------------

PT_EXPORT void* pt_generator_new(uint64_t seed, int32_t deviceType, int32_t deviceIndex) noexcept {
  return guarded<void*>(nullptr, [&]() -> void* {
    auto device = deviceOf(deviceType, deviceIndex);
    if (device.is_cpu()) return at::detail::createCPUGenerator(seed).unsafeReleaseGeneratorImpl();
    auto generator = at::globalContext().defaultGenerator(device).clone();
    generator.set_current_seed(seed);
    return generator.unsafeReleaseGeneratorImpl();
  });
}
PT_EXPORT void* pt_generator_default(int32_t deviceType, int32_t deviceIndex) noexcept {
  return guarded<void*>(nullptr, [&]() -> void* {
    at::Generator generator = at::globalContext().defaultGenerator(deviceOf(deviceType, deviceIndex));
    return generator.unsafeReleaseGeneratorImpl();
  });
}
PT_EXPORT void pt_generator_free(void* handle) noexcept {
  guarded<int>(0, [&] { if (handle) c10::raw::intrusive_ptr::decref(static_cast<c10::GeneratorImpl*>(handle)); return 0; });
}
PT_EXPORT int32_t pt_generator_set_seed(void* handle, uint64_t seed) noexcept {
  return guarded<int32_t>(-1, [&] {
    auto generator = borrowGenerator(handle);
    std::lock_guard<std::mutex> lock(generator.mutex());
    generator.set_current_seed(seed);
    return 0;
  });
}
PT_EXPORT int32_t pt_generator_seed(void* handle, int32_t renew, uint64_t* seed) noexcept {
  return guarded<int32_t>(-1, [&] {
    auto generator = borrowGenerator(handle);
    std::lock_guard<std::mutex> lock(generator.mutex());
    *seed = renew ? generator.seed() : generator.current_seed();
    return 0;
  });
}
PT_EXPORT void* pt_generator_state(void* handle) noexcept {
  return guarded<void*>(nullptr, [&] {
    auto generator = borrowGenerator(handle);
    std::lock_guard<std::mutex> lock(generator.mutex());
    return own(generator.get_state());
  });
}
PT_EXPORT int32_t pt_generator_set_state(void* handle, void* state) noexcept {
  return guarded<int32_t>(-1, [&] {
    auto generator = borrowGenerator(handle);
    std::lock_guard<std::mutex> lock(generator.mutex());
    generator.set_state(borrow(state));
    return 0;
  });
}
PT_EXPORT int32_t pt_manual_seed(uint64_t seed) noexcept {
  return guarded<int32_t>(-1, [&] { at::manual_seed(seed); return 0; });
}

// ---- devices and threads ------------------------------------------------------------------------------------------------

PT_EXPORT int32_t pt_has_cuda() noexcept { return guarded<int32_t>(0, [&] { return at::hasCUDA() ? 1 : 0; }); }
PT_EXPORT int32_t pt_has_cudnn() noexcept { return guarded<int32_t>(0, [&] { return at::hasCUDA() && at::globalContext().hasCuDNN() ? 1 : 0; }); }
PT_EXPORT int32_t pt_device_count(int32_t deviceType) noexcept {
  return guarded<int32_t>(0, [&]() -> int32_t {
    auto type = static_cast<c10::DeviceType>(deviceType);
    if (!c10::impl::hasDeviceGuardImpl(type)) return 0;
    return static_cast<int32_t>(c10::impl::getDeviceGuardImpl(type)->deviceCount());
  });
}
/// Waits for what the current stream of that device was asked to do.
PT_EXPORT int32_t pt_synchronize(int32_t deviceType, int32_t deviceIndex) noexcept {
  return guarded<int32_t>(-1, [&]() -> int32_t {
    auto type = static_cast<c10::DeviceType>(deviceType);
    if (type == c10::DeviceType::CPU) return 0;
    const auto* guard = c10::impl::getDeviceGuardImpl(type);
    auto device = deviceIndex < 0 ? guard->getDevice() : deviceOf(deviceType, deviceIndex);
    guard->synchronizeStream(guard->getStream(device));
    return 0;
  });
}
/// Free and total bytes of the current CUDA device, asked from the CUDA runtime that libtorch itself has loaded.
PT_EXPORT int32_t pt_cuda_memory(int64_t* freeBytes, int64_t* totalBytes) noexcept {
  return guarded<int32_t>(-1, [&]() -> int32_t {
    using Query = int (*)(size_t*, size_t*);
    auto query = reinterpret_cast<Query>(dlsym(RTLD_DEFAULT, "cudaMemGetInfo"));
    if (query == nullptr) return fail("this libtorch has loaded no CUDA runtime");
    size_t available = 0, total = 0;
    int code = query(&available, &total);
    if (code != 0) return fail(c10::str("cudaMemGetInfo answered ", code));
    *freeBytes = static_cast<int64_t>(available);
    *totalBytes = static_cast<int64_t>(total);
    return 0;
  });
}
PT_EXPORT int32_t pt_allow_tf32(int32_t which, int32_t set, int32_t on) noexcept {
  return guarded<int32_t>(-1, [&]() -> int32_t {
    auto& context = at::globalContext();
    if (set && which == 0) context.setAllowTF32CuBLAS(on != 0);
    if (set && which == 1) context.setAllowTF32CuDNN(on != 0);
    return which == 0 ? context.allowTF32CuBLAS() : context.allowTF32CuDNN();
  });
}
PT_EXPORT int32_t pt_num_threads() noexcept { return at::get_num_threads(); }
PT_EXPORT int32_t pt_num_interop_threads() noexcept { return at::get_num_interop_threads(); }
PT_EXPORT int32_t pt_set_num_threads(int32_t count) noexcept {
  return guarded<int32_t>(-1, [&] { at::set_num_threads(count); return 0; });
}
PT_EXPORT int32_t pt_set_num_interop_threads(int32_t count) noexcept {
  return guarded<int32_t>(-1, [&] { at::set_num_interop_threads(count); return 0; });
}
PT_EXPORT int32_t pt_deterministic(int32_t set, int32_t on, int32_t warnOnly) noexcept {
  return guarded<int32_t>(-1, [&]() -> int32_t {
    auto& context = at::globalContext();
    if (set) context.setDeterministicAlgorithms(on != 0, warnOnly != 0);
    return (context.deterministicAlgorithms() ? 1 : 0) | (context.deterministicAlgorithmsWarnOnly() ? 2 : 0);
  });
}
PT_EXPORT const char* pt_version() noexcept { return TORCH_VERSION; }
/// Where the libtorch that this process uses was loaded from.
PT_EXPORT const char* pt_loaded_from() noexcept {
  Dl_info info;
  auto address = reinterpret_cast<void*>(&at::get_num_threads);
  return dladdr(address, &info) != 0 && info.dli_fname != nullptr ? info.dli_fname : "";
}

// ---- optimisers ---------------------------------------------------------------------------------------------------------

/// One Adam or AdamW step over all parameters of a group, for plain float32 CPU tensors. Each parameter has its own step
/// number in `steps` (already counted up). `decoupled` is AdamW's weight decay, otherwise it is added to the gradient.
/// Returns 0; 1 when a tensor is not of that kind and nothing was touched (the caller then goes through the operators).
PT_EXPORT int32_t pt_adam_step(void** parameters, void** gradients, void** firsts, void** seconds, const int64_t* steps, int32_t count,
                               double lr, double beta1, double beta2, double eps, double weightDecay, int32_t decoupled, int32_t maximize) noexcept {
  return guarded<int32_t>(-1, [&]() -> int32_t {
    auto p = borrowAll(parameters, count), g = borrowAll(gradients, count), m = borrowAll(firsts, count), v = borrowAll(seconds, count);
    for (size_t k = 0; k < p.size(); k++) {
      if (!plainFloat(p[k]) || !plainFloat(g[k]) || !plainFloat(m[k]) || !plainFloat(v[k])) return 1;
      if (p[k].is_inference()) return 1;
      if (g[k].numel() != p[k].numel() || m[k].numel() != p[k].numel() || v[k].numel() != p[k].numel()) return 1;
    }
    for (size_t k = 0; k < p.size(); k++) {
      double t = static_cast<double>(steps[k]);
      double correction1 = 1.0 - std::pow(beta1, t);
      double correction2 = 1.0 - std::pow(beta2, t);
      auto decay = static_cast<float>(decoupled ? 1.0 - lr * weightDecay : 1.0);
      auto l2 = static_cast<float>(decoupled ? 0.0 : weightDecay);
      auto stepSize = static_cast<float>(lr / correction1);
      auto bias2Root = static_cast<float>(std::sqrt(correction2));
      float* pp = p[k].data_ptr<float>();
      const float* gg = g[k].data_ptr<float>();
      float* mm = m[k].data_ptr<float>();
      float* vv = v[k].data_ptr<float>();
      at::parallel_for(0, p[k].numel(), 32768, [&](int64_t begin, int64_t end) {
        adamStripe(pp + begin, gg + begin, mm + begin, vv + begin, end - begin, decay, l2, static_cast<float>(beta1),
                   static_cast<float>(beta2), static_cast<float>(1.0 - beta1), static_cast<float>(1.0 - beta2), bias2Root,
                   static_cast<float>(eps), stepSize, maximize ? -1.0f : 1.0f);
      });
      syncVersion(p[k]);
      syncVersion(m[k]);
      syncVersion(v[k]);
    }
    return 0;
  });
}
