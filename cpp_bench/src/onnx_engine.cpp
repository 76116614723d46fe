#include "onnx_engine.hpp"

#include <onnxruntime_cxx_api.h>

#include "cldm/error.hpp"

namespace cldm {
namespace {

Ort::Env& environment() {
    static Ort::Env env(ORT_LOGGING_LEVEL_ERROR, "cldm");
    return env;
}

Ort::SessionOptions session_options(int threads) {
    Ort::SessionOptions options;
    options.SetIntraOpNumThreads(threads);
    options.SetInterOpNumThreads(1);
    options.SetDeterministicCompute(true);
    // Bytes are ONNX and nothing else; without this the format is guessed from them.
    options.AddConfigEntry("session.load_model_format", "ONNX");
    return options;
}

class OnnxEngine final : public Engine {
public:
    OnnxEngine(const GraphSpec& graph, const std::vector<unsigned char>& model, int threads)
        : graph_(graph), session_(environment(), model.data(), model.size(), session_options(threads)) {
        for (const TensorSpec& spec : graph_.inputs) {
            if (spec.dtype != "float32") {
                throw Error("graph " + graph_.file + ", input " + spec.name + ": found " + spec.dtype +
                            ", expected float32.");
            }
            names_.push_back(spec.name.c_str());
        }
        output_ = graph_.outputs.at(0).name.c_str();
    }

    Tensor run(const Tensors& inputs) override {
        check_inputs(graph_, inputs);
        const Ort::MemoryInfo memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
        std::vector<Ort::Value> values;
        for (const TensorSpec& spec : graph_.inputs) {
            const Tensor& tensor = inputs.at(spec.name);
            // onnxruntime does not write to its inputs; its interface has no const.
            values.push_back(Ort::Value::CreateTensor<float>(memory, const_cast<float*>(tensor.data.data()),
                                                             tensor.data.size(), tensor.shape.data(), tensor.shape.size()));
        }
        Tensor result(result_shape(inputs.begin()->second.batch()));
        Ort::Value out = Ort::Value::CreateTensor<float>(memory, result.data.data(), result.data.size(),
                                                         result.shape.data(), result.shape.size());
        session_.Run(Ort::RunOptions{nullptr}, names_.data(), values.data(), values.size(), &output_, &out, 1);
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

std::unique_ptr<Engine> open_onnx(const GraphSpec& graph, const std::vector<unsigned char>& model, int threads) {
    try {
        return std::make_unique<OnnxEngine>(graph, model, threads);
    } catch (const Ort::Exception& error) {
        throw Error("graph " + graph.file + " does not load: " + error.what());
    }
}

}  // namespace cldm
