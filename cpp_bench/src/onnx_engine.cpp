#include "onnx_engine.hpp"

#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "cldm/error.hpp"

namespace cldm {
namespace {

Ort::Env& environment() {
    // onnxruntime 1.31 reports its use to its makers unless it is told not to, before its environment is made.
    static const int told = setenv("ORT_DISABLE_TELEMETRY", "1", 0);
    static Ort::Env env(ORT_LOGGING_LEVEL_ERROR, "cldm");
    static_cast<void>(told);
    return env;
}

// Onnxruntime would run on the CPU what CUDA does not take; that CUDA is there at all is certain once this returns.
void append_cuda(Ort::SessionOptions& options) {
    const OrtApi& api = Ort::GetApi();
    OrtCUDAProviderOptionsV2* made = nullptr;
    try {
        Ort::ThrowOnError(api.CreateCUDAProviderOptions(&made));
        const std::unique_ptr<OrtCUDAProviderOptionsV2, decltype(api.ReleaseCUDAProviderOptions)> cuda(
            made, api.ReleaseCUDAProviderOptions);
        // TF32 has 10 bits of mantissa: fast, but outside the tolerances of an fp32 bundle.
        const char* const key = "use_tf32";
        const char* const value = "0";
        Ort::ThrowOnError(api.UpdateCUDAProviderOptions(cuda.get(), &key, &value, 1));
        options.AppendExecutionProvider_CUDA_V2(*cuda);
    } catch (const Ort::Exception& error) {
        throw ProviderError(std::string("provider cuda was requested, but does not start: ") + error.what() +
                            ". Check the driver, CUDA and cuDNN, or pass --provider cpu.");
    }
}

Ort::SessionOptions session_options(int threads, bool cuda) {
    Ort::SessionOptions options;
    options.SetIntraOpNumThreads(threads);
    options.SetInterOpNumThreads(1);
    options.SetDeterministicCompute(true);
    // Bytes are ONNX and nothing else; without this the format is guessed from them.
    options.AddConfigEntry("session.load_model_format", "ONNX");
    if (cuda) {
        append_cuda(options);
    }
    return options;
}

// Whether this is an x86 processor without VNNI, where onnxruntime's sums in int8 overflow and images are wrong.
bool lacks_vnni() {
    std::ifstream info("/proc/cpuinfo");
    for (std::string line; std::getline(info, line);) {
        if (line.rfind("flags", 0) == 0) {
            std::istringstream words(line);
            const std::vector<std::string> flags{std::istream_iterator<std::string>(words), {}};
            return std::none_of(flags.begin(), flags.end(), [](const std::string& flag) {
                return flag == "avx512_vnni" || flag == "avx_vnni";
            });
        }
    }
    return false;
}

class OnnxEngine final : public Engine {
public:
    OnnxEngine(const GraphSpec& graph, const std::vector<unsigned char>& model, int threads, bool cuda)
        : graph_(graph), session_(environment(), model.data(), model.size(), session_options(threads, cuda)) {
        for (const TensorSpec& spec : graph_.inputs) {
            names_.push_back(spec.name.c_str());
        }
        output_ = graph_.outputs.at(0).name.c_str();
    }

    Tensor run(const Views& inputs) override {
        check_inputs(graph_, inputs);
        const Ort::MemoryInfo memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
        std::vector<Ort::Value> values;
        for (const TensorSpec& spec : graph_.inputs) {
            const Tensor& tensor = *inputs.at(spec.name);
            // onnxruntime does not write to its inputs; its interface has no const.
            values.push_back(Ort::Value::CreateTensor<float>(memory, const_cast<float*>(tensor.data.data()),
                                                             tensor.data.size(), tensor.shape.data(), tensor.shape.size()));
        }
        Tensor result(result_shape(inputs.begin()->second->batch()));
        Ort::Value out = Ort::Value::CreateTensor<float>(memory, result.data.data(), result.data.size(),
                                                         result.shape.data(), result.shape.size());
        try {
            session_.Run(Ort::RunOptions{nullptr}, names_.data(), values.data(), values.size(), &output_, &out, 1);
        } catch (const Ort::Exception& error) {
            throw BundleError("graph " + graph_.file + " fails: " + error.what());
        }
        return result;
    }

private:
    Shape result_shape(std::int64_t batch) const {
        Shape shape = graph_.outputs[0].sample;
        shape.insert(shape.begin(), batch);
        return shape;
    }

    GraphSpec graph_;
    Ort::Session session_;
    std::vector<const char*> names_;  // of graph_.inputs, which stays where it is
    const char* output_ = nullptr;
};

}  // namespace

std::unique_ptr<Engine> open_onnx(const GraphSpec& graph, const std::vector<unsigned char>& model, int threads, bool cuda) {
    if (!cuda && graph.precision == "int8" && lacks_vnni()) {
        throw ProviderError("graph " + graph.file + " computes in int8, which on provider cpu needs the VNNI "
                            "instructions that this processor lacks. Take a bundle that computes in fp32.");
    }
    try {
        return std::make_unique<OnnxEngine>(graph, model, threads, cuda);
    } catch (const Ort::Exception& error) {
        throw BundleError("graph " + graph.file + " does not load: " + error.what());
    }
}

void require_cuda() {
    const std::vector<std::string> offered = Ort::GetAvailableProviders();
    if (std::find(offered.begin(), offered.end(), "CUDAExecutionProvider") != offered.end()) {
        return;
    }
    std::string listed;
    for (const std::string& name : offered) {
        listed += (listed.empty() ? "" : ", ") + name;
    }
    throw ProviderError("provider cuda was requested, but the onnxruntime that this program was built with offers: " +
                        listed + ". Run pip install onnxruntime-gpu and build with its library, or pass --provider cpu.");
}

std::string onnxruntime_version() { return Ort::GetVersionString(); }

}  // namespace cldm
