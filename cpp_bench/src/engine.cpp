#include "cldm/engine.hpp"

#include <algorithm>

#include "cldm/error.hpp"
#include "onnx_engine.hpp"
#ifdef CLDM_TORCH
#include "torch_engine.hpp"
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

}  // namespace

Tensor slice(const Tensor& tensor, std::int64_t first, std::int64_t last) {
    Shape shape = tensor.shape;
    shape[0] = last - first;
    const std::size_t each = tensor.stride();
    return {shape, std::vector<float>(tensor.data.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(first) * each),
                                      tensor.data.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(last) * each))};
}

void check_inputs(const GraphSpec& graph, const Tensors& inputs) {
    for (const auto& [name, tensor] : inputs) {
        Shape wanted = graph.input(name).sample;
        wanted.insert(wanted.begin(), inputs.begin()->second.batch());
        if (tensor.shape != wanted) {
            throw Error("graph " + graph.file + ", input " + name + ": found the shape " + spelled(tensor.shape) +
                        ", expected " + spelled(wanted) + ".");
        }
    }
    for (const TensorSpec& spec : graph.inputs) {
        if (inputs.count(spec.name) == 0) {
            throw Error("graph " + graph.file + ": input " + spec.name + " is missing.");
        }
    }
}

std::vector<std::string> providers() {
#ifdef CLDM_TORCH
    return {"cpu", "torchscript"};
#else
    return {"cpu"};
#endif
}

std::unique_ptr<Engine> open_engine(const Bundle& bundle, const std::string& role, const std::string& provider,
                                    int threads) {
    const GraphSpec& graph = bundle.manifest().graph(role);
    if (provider == "cpu") {
        return open_onnx(graph, bundle.read(graph.file, graph.sha256), threads);
    }
#ifdef CLDM_TORCH
    if (provider == "torchscript") {
        if (graph.torchscript.empty()) {
            throw Error("bundle " + bundle.folder().string() + " holds no TorchScript form of " + role +
                        ". Export it with --torchscript, or pass --provider cpu.");
        }
        return open_torchscript(graph, bundle.read(graph.torchscript, graph.torchscript_sha256), threads);
    }
#endif
    std::string known;
    for (const std::string& name : providers()) {
        known += (known.empty() ? "" : ", ") + name;
    }
    throw Error("provider " + provider + " is not built in. Known here: " + known + ".");
}

}  // namespace cldm
