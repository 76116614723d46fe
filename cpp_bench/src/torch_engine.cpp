#include "torch_engine.hpp"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <torch/cuda.h>
#include <torch/script.h>
#include <torch/version.h>

#include <sstream>

#include "cldm/error.hpp"

namespace cldm {
namespace {

class TorchEngine final : public Engine {
public:
    TorchEngine(const GraphSpec& graph, const std::vector<unsigned char>& archive, int threads, bool cuda)
        : graph_(graph), device_(cuda ? torch::kCUDA : torch::kCPU) {
        at::set_num_threads(threads);
        if (cuda) {  // TF32 has 10 bits of mantissa: fast, but outside the tolerances of an fp32 bundle
            at::globalContext().setAllowTF32CuDNN(false);
            at::globalContext().setAllowTF32CuBLAS(false);
        }
        std::istringstream stream(std::string(archive.begin(), archive.end()));
        module_ = torch::jit::load(stream, device_);
        module_.eval();
    }

    Tensor run(const Views& inputs) override {
        check_inputs(graph_, inputs);
        const c10::InferenceMode guard;
        std::vector<torch::jit::IValue> values;
        for (const TensorSpec& spec : graph_.inputs) {
            const Tensor& tensor = *inputs.at(spec.name);
            values.emplace_back(torch::from_blob(const_cast<float*>(tensor.data.data()), tensor.shape, torch::kFloat32)
                                    .to(device_));
        }
        try {
            const at::Tensor said = module_.forward(values).toTensor().to(torch::kCPU).contiguous();
            Tensor result(Shape(said.sizes().begin(), said.sizes().end()));
            std::copy_n(said.data_ptr<float>(), result.data.size(), result.data.begin());
            return result;
        } catch (const c10::Error& error) {
            throw BundleError("graph " + graph_.torchscript + " fails: " + error.what_without_backtrace());
        }
    }

private:
    GraphSpec graph_;
    torch::Device device_;
    torch::jit::Module module_;
};

}  // namespace

std::unique_ptr<Engine> open_torchscript(const GraphSpec& graph, const std::vector<unsigned char>& archive, int threads,
                                         bool cuda) {
    try {
        return std::make_unique<TorchEngine>(graph, archive, threads, cuda);
    } catch (const c10::Error& error) {
        throw BundleError("graph " + graph.torchscript + " does not load: " + error.what_without_backtrace());
    }
}

void require_torch_device(bool cuda) {
    if (cuda && !torch::cuda::is_available()) {
        throw ProviderError("provider torchscript-cuda was requested, but torch finds no CUDA device. Build with a torch "
                            "for CUDA and check the driver, or pass --provider torchscript.");
    }
}

std::string torch_version() { return TORCH_VERSION; }

}  // namespace cldm
