#include "tensorrt_build.hpp"

#include <NvOnnxParser.h>
#include <cuda_runtime_api.h>

#include "cldm/error.hpp"
#include "engine_cache.hpp"
#include "tensorrt_engine.hpp"

namespace cldm {
namespace {

#if NV_TENSORRT_MAJOR >= 11
constexpr std::uint32_t kStronglyTyped = 0;  // it always is
#else
constexpr std::uint32_t kStronglyTyped = 1U << static_cast<std::uint32_t>(nvinfer1::NetworkDefinitionCreationFlag::kSTRONGLY_TYPED);
#endif

std::string digest(const std::string& text) { return sha256_of({text.begin(), text.end()}); }

std::vector<unsigned char> bytes(const nvinfer1::IHostMemory& memory) {
    const unsigned char* from = static_cast<const unsigned char*>(memory.data());
    return {from, from + memory.size()};
}

nvinfer1::Dims shape_of(const TensorSpec& spec, std::int64_t batch) {
    nvinfer1::Dims shape{};
    shape.nbDims = static_cast<std::int32_t>(spec.sample.size() + 1);
    shape.d[0] = batch;
    for (std::size_t i = 0; i < spec.sample.size(); ++i) {
        shape.d[i + 1] = spec.sample[i];
    }
    return shape;
}

void parse(nvonnxparser::IParser& parser, const GraphSpec& graph, const std::vector<unsigned char>& model) {
    if (parser.parse(model.data(), model.size())) {
        return;
    }
    std::string faults;
    for (std::int32_t i = 0; i < parser.getNbErrors(); ++i) {
        faults += (i ? "; " : "") + std::string(parser.getError(i)->desc());
    }
    throw BundleError("graph " + graph.file + " is not taken by TensorRT " + tensorrt_version() + ": " + faults +
                      ". Pass --provider cuda.");
}

// The only profile: minimum, optimum and maximum are one.
void add_profile(nvinfer1::IBuilder& builder, nvinfer1::IBuilderConfig& config, const nvinfer1::INetworkDefinition& network,
                 const GraphSpec& graph, std::int64_t batch) {
    nvinfer1::IOptimizationProfile* const profile = builder.createOptimizationProfile();  // the builder's
    for (std::int32_t i = 0; i < network.getNbInputs(); ++i) {  // those that something reads
        const char* const name = network.getInput(i)->getName();
        for (const auto bound : {nvinfer1::OptProfileSelector::kMIN, nvinfer1::OptProfileSelector::kOPT,
                                 nvinfer1::OptProfileSelector::kMAX}) {
            profile->setDimensions(name, bound, shape_of(graph.input(name), batch));
        }
    }
    config.addOptimizationProfile(profile);
}

}  // namespace

void TensorRtLogger::log(Severity severity, const char* message) noexcept {
    if (severity <= Severity::kERROR) {
        last_error_ = message;
    }
}

std::string EnginePlan::name() const {
    return digest(graph_sha256 + "\n" + tensorrt + "\n" + gpu + "\n" + std::to_string(batch)) + ".engine";
}

std::string EnginePlan::timings() const { return digest(tensorrt + "\n" + gpu) + ".timings"; }

EnginePlan plan_engine(const GraphSpec& graph, std::int64_t batch) {
    cudaDeviceProp found{};
    if (const cudaError_t status = cudaGetDeviceProperties(&found, 0); status != cudaSuccess) {
        throw ProviderError(std::string("provider tensorrt was requested, but there is no CUDA device: ") +
                            cudaGetErrorString(status) + ". Check the driver, or pass --provider cpu.");
    }
    return {graph.sha256, tensorrt_version(),
            std::string(found.name) + " " + std::to_string(found.major) + "." + std::to_string(found.minor), batch};
}

std::vector<unsigned char> build_engine(const GraphSpec& graph, const std::vector<unsigned char>& model,
                                        const EnginePlan& plan, TensorRtLogger& logger) {
    const auto failed = [&](const char* what) {
        return ProviderError("graph " + graph.file + ": TensorRT " + plan.tensorrt + " on " + plan.gpu + " could not " +
                             what + ": " + logger.last_error() + ". Pass --provider cuda.");
    };
    const std::unique_ptr<nvinfer1::IBuilder> builder(nvinfer1::createInferBuilder(logger));
    if (!builder) {
        throw failed("start");
    }
    const std::unique_ptr<nvinfer1::INetworkDefinition> network(builder->createNetworkV2(kStronglyTyped));
    const std::unique_ptr<nvonnxparser::IParser> parser(nvonnxparser::createParser(*network, logger));
    parse(*parser, graph, model);
    const std::unique_ptr<nvinfer1::IBuilderConfig> config(builder->createBuilderConfig());
    // TF32 has 10 bits of mantissa: fast, but outside the tolerances of an fp32 bundle.
    config->clearFlag(nvinfer1::BuilderFlag::kTF32);
    add_profile(*builder, *config, *network, graph, plan.batch);
    const std::vector<unsigned char> known = read_engine(plan.timings()).value_or(std::vector<unsigned char>{});
    std::unique_ptr<nvinfer1::ITimingCache> timings(config->createTimingCache(known.data(), known.size()));
    if (!timings) {  // of another version
        timings.reset(config->createTimingCache(nullptr, 0));
    }
    config->setTimingCache(*timings, false);
    const std::unique_ptr<nvinfer1::IHostMemory> built(builder->buildSerializedNetwork(*network, *config));
    if (!built) {
        throw failed("build an engine");
    }
    if (const std::unique_ptr<nvinfer1::IHostMemory> measured(config->getTimingCache()->serialize()); measured) {
        write_engine(plan.timings(), bytes(*measured));
    }
    return bytes(*built);
}

}  // namespace cldm
