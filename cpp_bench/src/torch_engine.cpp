#include "torch_engine.hpp"

#include <ATen/Parallel.h>
#include <torch/script.h>

#include <sstream>

#include "cldm/error.hpp"

namespace cldm {
namespace {

class TorchEngine final : public Engine {
public:
    TorchEngine(const GraphSpec& graph, const std::vector<unsigned char>& archive, int threads) : graph_(graph) {
        at::set_num_threads(threads);
        std::istringstream stream(std::string(archive.begin(), archive.end()));
        module_ = torch::jit::load(stream, torch::kCPU);
        module_.eval();
    }

    Tensor run(const Tensors& inputs) override {
        check_inputs(graph_, inputs);
        const c10::InferenceMode guard;
        std::vector<torch::jit::IValue> values;
        for (const TensorSpec& spec : graph_.inputs) {
            const Tensor& tensor = inputs.at(spec.name);
            values.emplace_back(torch::from_blob(const_cast<float*>(tensor.data.data()), tensor.shape, torch::kFloat32));
        }
        const at::Tensor said = module_.forward(values).toTensor().contiguous();
        Tensor result(Shape(said.sizes().begin(), said.sizes().end()));
        std::copy_n(said.data_ptr<float>(), result.data.size(), result.data.begin());
        return result;
    }

private:
    GraphSpec graph_;
    torch::jit::Module module_;
};

}  // namespace

std::unique_ptr<Engine> open_torchscript(const GraphSpec& graph, const std::vector<unsigned char>& archive, int threads) {
    try {
        return std::make_unique<TorchEngine>(graph, archive, threads);
    } catch (const c10::Error& error) {
        throw Error("graph " + graph.torchscript + " does not load: " + error.what_without_backtrace());
    }
}

}  // namespace cldm
