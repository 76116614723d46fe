// TensorRT 10 and 11. This was compiled against the headers of 10.3, 10.13 and 11.1 and never run: where it was written
// there is no GPU.
#include "tensorrt_engine.hpp"

#include <NvInfer.h>
#include <cuda_runtime_api.h>

#include <iostream>

#include "cldm/error.hpp"
#include "cldm/reference.hpp"
#include "engine_cache.hpp"
#include "tensorrt_build.hpp"

namespace cldm {
namespace {

void check_cuda(cudaError_t status, const char* what) {
    if (status != cudaSuccess) {
        throw ProviderError(std::string("CUDA: ") + what + " failed: " + cudaGetErrorString(status) + ".");
    }
}

// Memory of the GPU for one tensor.
class DeviceMemory {
public:
    explicit DeviceMemory(std::size_t bytes) { check_cuda(cudaMalloc(&memory_, bytes), "taking memory"); }
    ~DeviceMemory() { cudaFree(memory_); }
    DeviceMemory(const DeviceMemory&) = delete;
    DeviceMemory& operator=(const DeviceMemory&) = delete;
    void* get() const { return memory_; }

private:
    void* memory_ = nullptr;
};

class Queue {
public:
    Queue() { check_cuda(cudaStreamCreate(&stream_), "making a stream"); }
    ~Queue() { cudaStreamDestroy(stream_); }
    Queue(const Queue&) = delete;
    Queue& operator=(const Queue&) = delete;
    cudaStream_t get() const { return stream_; }

private:
    cudaStream_t stream_ = nullptr;
};

Shape with_batch(const Shape& sample, std::int64_t batch) {
    Shape shape = sample;
    shape.insert(shape.begin(), batch);
    return shape;
}

// `batch` samples of a tensor, from the first on and again.
Tensor repeated(const Tensor& tensor, std::int64_t batch) {
    Tensor out(with_batch({tensor.shape.begin() + 1, tensor.shape.end()}, batch));
    for (std::size_t i = 0; i < out.data.size(); ++i) {
        out.data[i] = tensor.data[i % tensor.data.size()];
    }
    return out;
}

// An engine of one batch size, with its memory.
class Loaded {
public:
    // engine stays empty where the bytes do not load.
    Loaded(nvinfer1::IRuntime& runtime, const std::vector<unsigned char>& data, const GraphSpec& graph, std::int64_t batch)
        : graph_(graph), batch_(batch), engine_(runtime.deserializeCudaEngine(data.data(), data.size())),
          context_(engine_ ? engine_->createExecutionContext() : nullptr) {
        if (!context_) {
            return;
        }
        for (const TensorSpec& spec : graph.inputs) {
            bind(spec);
        }
        bind(graph.outputs.at(0));
    }

    bool works() const { return works_ && context_; }

    Tensor run(const Views& inputs) {
        for (const TensorSpec& spec : graph_.inputs) {
            if (memory_.count(spec.name)) {
                const std::vector<float>& data = inputs.at(spec.name)->data;
                check_cuda(cudaMemcpyAsync(memory_.at(spec.name)->get(), data.data(), data.size() * sizeof(float),
                                           cudaMemcpyHostToDevice, queue_.get()), "copying to the GPU");
            }
        }
        if (!context_->enqueueV3(queue_.get())) {
            throw ProviderError("graph " + graph_.file + ": TensorRT could not run it at batch " + std::to_string(batch_) +
                                ". Pass --provider cuda.");
        }
        const TensorSpec& output = graph_.outputs.at(0);
        Tensor result(with_batch(output.sample, batch_));
        check_cuda(cudaMemcpyAsync(result.data.data(), memory_.at(output.name)->get(), result.data.size() * sizeof(float),
                                   cudaMemcpyDeviceToHost, queue_.get()), "copying from the GPU");
        check_cuda(cudaStreamSynchronize(queue_.get()), "computing");
        return result;
    }

private:
    // Memory for a tensor that the engine has; an input that nothing reads is not among them.
    void bind(const TensorSpec& spec) {
        const nvinfer1::TensorIOMode mode = engine_->getTensorIOMode(spec.name.c_str());
        if (mode == nvinfer1::TensorIOMode::kNONE) {
            return;
        }
        const Shape shape = with_batch(spec.sample, batch_);
        const auto& held = memory_[spec.name] = std::make_unique<DeviceMemory>(count(shape) * sizeof(float));
        works_ = works_ && engine_->getTensorDataType(spec.name.c_str()) == nvinfer1::DataType::kFLOAT &&
                 context_->setTensorAddress(spec.name.c_str(), held->get());
        if (mode == nvinfer1::TensorIOMode::kINPUT) {
            nvinfer1::Dims dims{};
            dims.nbDims = static_cast<std::int32_t>(shape.size());
            std::copy(shape.begin(), shape.end(), dims.d);
            works_ = works_ && context_->setInputShape(spec.name.c_str(), dims);
        }
    }

    const GraphSpec& graph_;
    std::int64_t batch_;
    std::unique_ptr<nvinfer1::ICudaEngine> engine_;
    std::unique_ptr<nvinfer1::IExecutionContext> context_;
    std::map<std::string, std::unique_ptr<DeviceMemory>> memory_;
    Queue queue_;
    bool works_ = true;
};

class TensorRtEngine final : public Engine {
public:
    TensorRtEngine(const Bundle& bundle, const std::string& role, std::vector<unsigned char> model)
        : graph_(bundle.manifest().graph(role)), model_(std::move(model)),
          known_(read_reference(bundle).graphs.at(role)),
          tolerance_(bundle.manifest().tolerances.at(role + "/" + graph_.outputs.at(0).name)) {
        plan_engine(graph_, 1);  // says now where there is no GPU
        runtime_.reset(nvinfer1::createInferRuntime(logger_));
        if (!runtime_) {
            throw ProviderError("provider tensorrt was requested, but does not start: " + logger_.last_error() + ".");
        }
    }

    Tensor run(const Views& inputs) override {
        check_inputs(graph_, inputs);
        const std::int64_t batch = inputs.begin()->second->batch();
        std::unique_ptr<Loaded>& found = loaded_[batch];
        if (!found) {
            found = prepared(batch);
        }
        return found->run(inputs);
    }

private:
    std::unique_ptr<Loaded> prepared(std::int64_t batch) {
        const EnginePlan plan = plan_engine(graph_, batch);
        if (const auto kept = read_engine(plan.name())) {
            auto found = std::make_unique<Loaded>(*runtime_, *kept, graph_, batch);
            if (found->works() && error(*found, batch) <= tolerance_) {
                return found;
            }
        }
        std::cerr << "TensorRT " << plan.tensorrt << ": building " << graph_.file << " for batch " << batch << " ...\n";
        const std::vector<unsigned char> built = build_engine(graph_, model_, plan, logger_);
        auto found = std::make_unique<Loaded>(*runtime_, built, graph_, batch);
        if (!found->works()) {
            throw ProviderError("graph " + graph_.file + ": TensorRT " + plan.tensorrt + " cannot load the engine that it "
                                "has just built: " + logger_.last_error() + ". Pass --provider cuda.");
        }
        if (const double apart = error(*found, batch); !(apart <= tolerance_)) {
            throw ProviderError("graph " + graph_.file + ": the engine of TensorRT " + plan.tensorrt + " on " + plan.gpu +
                                " is off the reference by " + std::to_string(apart) + ", allowed are " +
                                std::to_string(tolerance_) + ". It is not used: pass --provider cuda.");
        }
        write_engine(plan.name(), built);
        return found;
    }

    // On the graph's reference, as many samples of it as the batch takes.
    double error(Loaded& engine, std::int64_t batch) const {
        Tensors inputs;
        for (const auto& [name, tensor] : known_.inputs) {
            inputs[name] = repeated(tensor, batch);
        }
        return largest_error(engine.run(views(inputs)), repeated(known_.outputs.at(graph_.outputs.at(0).name), batch));
    }

    GraphSpec graph_;
    std::vector<unsigned char> model_;
    Case known_;
    double tolerance_;
    TensorRtLogger logger_;
    std::unique_ptr<nvinfer1::IRuntime> runtime_;  // after the logger, which it uses; before the engines, which use it
    std::map<std::int64_t, std::unique_ptr<Loaded>> loaded_;
};

}  // namespace

std::unique_ptr<Engine> open_tensorrt(const Bundle& bundle, const std::string& role, std::vector<unsigned char> model) {
    return std::make_unique<TensorRtEngine>(bundle, role, std::move(model));
}

std::string tensorrt_version() {
    const std::int32_t number = getInferLibVersion();  // of the library that runs, which may be newer than the headers
    return std::to_string(number / 10000) + "." + std::to_string(number / 100 % 100) + "." + std::to_string(number % 100);
}

}  // namespace cldm
