// How a TensorRT engine is named and built.
#pragma once

#include <NvInfer.h>

#include <memory>
#include <string>
#include <vector>

#include "cldm/manifest.hpp"

namespace cldm {

// Keeps the latest error, for messages.
class TensorRtLogger final : public nvinfer1::ILogger {
public:
    void log(Severity severity, const char* message) noexcept override;
    const std::string& last_error() const { return last_error_; }

private:
    std::string last_error_;
};

// One engine for one batch size: any other size than the one that kernels were chosen for is slow.
struct EnginePlan {
    std::string graph_sha256, tensorrt, gpu;  // gpu: name and compute capability
    std::int64_t batch = 0;

    std::string name() const;     // of the engine's file: the digest of all of these
    std::string timings() const;  // of the file with the times of kernels on this GPU, which make the next build faster
};

// On this machine's first GPU. ProviderError where there is none.
EnginePlan plan_engine(const GraphSpec& graph, std::int64_t batch);

// Compile an ONNX model: strongly typed, so the precision of every operator stands in the graph; without TF32. BundleError
// for a model that TensorRT does not take, ProviderError where building fails.
std::vector<unsigned char> build_engine(const GraphSpec& graph, const std::vector<unsigned char>& model,
                                        const EnginePlan& plan, TensorRtLogger& logger);

}  // namespace cldm
