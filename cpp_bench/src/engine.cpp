#include "cldm/engine.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <thread>

#include "cldm/error.hpp"
#include "onnx_engine.hpp"
#include "onnx_scan.hpp"
#ifdef CLDM_TORCH
#include "torch_engine.hpp"
#endif
#ifdef CLDM_TENSORRT
#include "tensorrt_engine.hpp"
#endif

namespace cldm {
namespace {

std::string spelled(const Shape& shape) {
    std::string text;
    for (const std::int64_t size : shape) {
        text += (text.empty() ? "" : ", ") + std::to_string(size);
    }
    return "[" + text + "]";
}

// The bytes of a graph that holds nothing that a bundle must not hold.
std::vector<unsigned char> sound_model(const Bundle& bundle, const GraphSpec& graph) {
    std::vector<unsigned char> model = bundle.read(graph.file, graph.sha256);
    std::string faults;
    for (const std::string& fault : scan_model(model)) {
        faults += (faults.empty() ? "" : "; ") + fault;
    }
    if (!faults.empty()) {
        throw BundleError("graph " + (bundle.folder() / graph.file).string() + " is refused: " + faults + ".");
    }
    return model;
}

void need_option(bool built_in, const std::string& provider, const char* option) {
    if (!built_in) {
        throw ProviderError("provider " + provider + " was requested, but is not built in. Build cpp_bench with -D" +
                            option + "=ON, or pass --provider cpu.");
    }
}

}  // namespace

Tensor slice(const Tensor& tensor, std::int64_t first, std::int64_t last) {
    Shape shape = tensor.shape;
    shape[0] = last - first;
    const std::size_t each = tensor.stride();
    return {shape, std::vector<float>(tensor.data.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(first) * each),
                                      tensor.data.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(last) * each))};
}

void check_inputs(const GraphSpec& graph, const Views& inputs) {
    for (const auto& [name, tensor] : inputs) {
        Shape wanted = graph.input(name).sample;
        wanted.insert(wanted.begin(), inputs.begin()->second->batch());
        if (tensor->shape != wanted) {
            throw BundleError("graph " + graph.file + ", input " + name + ": found the shape " + spelled(tensor->shape) +
                              ", expected " + spelled(wanted) + ".");
        }
    }
    for (const TensorSpec& spec : graph.inputs) {
        if (inputs.count(spec.name) == 0) {
            throw BundleError("graph " + graph.file + ": input " + spec.name + " is missing.");
        }
    }
}

void check_provider(const std::string& provider) {
    if (std::find(kProviders.begin(), kProviders.end(), provider) == kProviders.end()) {
        std::string known;
        for (const std::string& name : kProviders) {
            known += (known.empty() ? "" : ", ") + name;
        }
        throw InputError("provider " + provider + " is unknown. Known: " + known + ".");
    }
    if (provider == "cuda") {
        require_cuda();
    } else if (provider == "tensorrt") {
#ifdef CLDM_TENSORRT
        constexpr bool built_in = true;
#else
        constexpr bool built_in = false;
#endif
        need_option(built_in, provider, "CLDM_TENSORRT");
    } else if (provider != "cpu") {
#ifdef CLDM_TORCH
        require_torch_device(provider == "torchscript-cuda");
#else
        need_option(false, provider, "CLDM_TORCH");
#endif
    }
}

int all_cores() {
    const int cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
    double quota = 0.0, period = 0.0;  // a container's limit on processor time; the quota is "max" where there is none
    if (std::ifstream limit("/sys/fs/cgroup/cpu.max"); limit >> quota >> period && period > 0.0) {
        return std::max(1, std::min(cores, static_cast<int>(std::ceil(quota / period))));
    }
    return cores;
}

std::map<std::string, std::string> engine_versions() {
    std::map<std::string, std::string> found{{"onnxruntime", onnxruntime_version()}};
#ifdef CLDM_TORCH
    found["torch"] = torch_version();
#endif
#ifdef CLDM_TENSORRT
    found["tensorrt"] = tensorrt_version();
#endif
    return found;
}

std::unique_ptr<Engine> open_engine(const Bundle& bundle, const std::string& role, const std::string& provider,
                                    int threads) {
    check_provider(provider);
    const GraphSpec& graph = bundle.manifest().graph(role);
    for (const TensorSpec& spec : graph.inputs) {
        if (spec.dtype != "float32") {
            throw BundleError("graph " + graph.file + ", input " + spec.name + ": found " + spec.dtype +
                              ", expected float32.");
        }
    }
#ifdef CLDM_TORCH
    if (provider.rfind("torchscript", 0) == 0) {
        if (graph.torchscript.empty()) {
            throw BundleError("bundle " + bundle.folder().string() + " holds no TorchScript form of " + role +
                              ". Export it with --torchscript, or pass --provider cpu.");
        }
        return open_torchscript(graph, bundle.read(graph.torchscript, graph.torchscript_sha256), threads,
                                provider == "torchscript-cuda");
    }
#endif
#ifdef CLDM_TENSORRT
    if (provider == "tensorrt") {
        return open_tensorrt(bundle, role, sound_model(bundle, graph));
    }
#endif
    return open_onnx(graph, sound_model(bundle, graph), threads, provider == "cuda");
}

}  // namespace cldm
