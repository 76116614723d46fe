#include "networks_work.hpp"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <set>

namespace cldm {

NetworksWork::NetworksWork(const std::string& bundle, const std::string& provider, int threads, std::uint64_t seed,
                           const Sampling& how)
    : pipeline_(Bundle(bundle), provider, threads), how_(how), seed_(seed) {
    check_sampling(pipeline_.bundle().manifest(), how_);
}

nlohmann::json NetworksWork::facts() const {
    std::set<std::string> precisions;
    for (const auto& [role, graph] : pipeline_.bundle().manifest().graphs) {
        precisions.insert(graph.precision);
    }
    std::string precision;
    for (const std::string& name : precisions) {
        precision += (precision.empty() ? "" : " and ") + name;
    }
    return {{"networks", pipeline_.bundle().identity()}, {"sampler", how_.sampler}, {"steps", how_.steps},
            {"spacing", how_.spacing}, {"eta", how_.eta}, {"guidance", how_.guidance}, {"precision", precision},
            {"evaluations", pipeline_.evaluations(how_)}};
}

// What label maps and attributes say makes no difference to the time: background everywhere, and zeros.
void NetworksWork::prepare(std::size_t batch) {
    const Manifest& manifest = pipeline_.bundle().manifest();
    indices_.resize(batch);
    std::iota(indices_.begin(), indices_.end(), 0);
    sources_.clear();
    for (const Condition& condition : manifest.conditions) {
        for (const TensorSpec& spec : manifest.graph(condition.encoder).inputs) {
            Shape shape = spec.sample;
            shape.insert(shape.begin(), static_cast<std::int64_t>(batch));
            sources_[spec.name] = Tensor(shape);
        }
    }
    if (const auto found = sources_.find("one_hot"); found != sources_.end()) {
        Shape shape = found->second.shape;
        shape.erase(shape.begin() + 1);
        found->second = one_hot({shape, std::vector<std::uint8_t>(count(shape))}, manifest.labels.size());
    }
}

std::size_t NetworksWork::complete() {
    pipeline_.sample(views(sources_), seed_, indices_, how_);
    return indices_.size();
}

nlohmann::json NetworksWork::estimate() {
    Sampling few = how_;
    few.steps = std::min(kEstimateSteps, how_.steps);
    const double longer = static_cast<double>(pipeline_.evaluations(how_)) / pipeline_.evaluations(few);
    nlohmann::json parts{{"images", indices_.size()}};
    auto begun = std::chrono::steady_clock::now();
    const auto ends = [&](const char* part, double times) {
        const auto now = std::chrono::steady_clock::now();
        parts[part] = times * std::chrono::duration<double>(now - begun).count();
        begun = now;
    };
    Tensor x = pipeline_.initial_noise(seed_, indices_);
    const Tensors texture = pipeline_.decoder_noise(seed_, indices_), scan = pipeline_.scan_noise(seed_, indices_);
    ends("noise", 1.0);
    const Tensors told = pipeline_.encode(views(sources_));
    ends("condition encoder", 1.0);
    const Tensor latent = pipeline_.latents(std::move(x), told, seed_, indices_, few);
    ends("denoiser and sampler", longer);
    pipeline_.acquire(pipeline_.decode(latent, texture), scan);
    ends("decoder", 1.0);
    return parts;
}

}  // namespace cldm
