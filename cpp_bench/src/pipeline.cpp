#include "cldm/pipeline.hpp"

#include <algorithm>

#include "cldm/error.hpp"
#include "cldm/noise.hpp"

namespace cldm {
namespace {

Tensor joined(const Tensor& a, const Tensor& b) {
    Tensor both = a;
    both.shape[0] += b.shape[0];
    both.data.insert(both.data.end(), b.data.begin(), b.data.end());
    return both;
}

}  // namespace

Tensor one_hot(const Shape& shape, const std::vector<std::uint8_t>& labels, std::size_t classes) {
    Shape full = shape;
    full.insert(full.begin() + 1, static_cast<std::int64_t>(classes));
    Tensor out(full);
    const std::size_t samples = static_cast<std::size_t>(shape.at(0)), pixels = labels.size() / std::max<std::size_t>(samples, 1);
    for (std::size_t n = 0; n < samples; ++n) {
        for (std::size_t p = 0; p < pixels; ++p) {
            const std::size_t label = labels[n * pixels + p];
            if (label >= classes) {
                throw Error("label " + std::to_string(label) + " in label map " + std::to_string(n) + ", expected 0 to " +
                            std::to_string(classes - 1) + ".");
            }
            out.data[(n * classes + label) * pixels + p] = 1.0F;
        }
    }
    return out;
}

Pipeline::Pipeline(const Bundle& bundle, const std::string& provider, int threads)
    : bundle_(bundle), provider_(provider), threads_(threads) {
    const Manifest& manifest = bundle.manifest();
    if (manifest.kind != "generator" || !manifest.schedule || !manifest.sampling) {
        throw Error("bundle " + bundle.folder().string() + " is a " + manifest.kind + ", expected a generator.");
    }
    sampling_ = *manifest.sampling;
}

Engine& Pipeline::engine(const std::string& role) {
    std::unique_ptr<Engine>& found = engines_[role];
    if (!found) {
        found = open_engine(bundle_, role, provider_, threads_);
    }
    return *found;
}

Tensor Pipeline::initial_noise(std::uint64_t seed, const std::vector<std::uint64_t>& indices) const {
    return normals(seed, indices, Purpose::initial, bundle_.manifest().graph("denoiser").input("x").sample);
}

Tensors Pipeline::decoder_noise(std::uint64_t seed, const std::vector<std::uint64_t>& indices) const {
    Tensors drawn;
    std::uint64_t step = 0;
    for (const TensorSpec& spec : bundle_.manifest().graph("decoder").inputs) {
        if (spec.name != "latent") {
            drawn[spec.name] = normals(seed, indices, Purpose::texture, spec.sample, step++);
        }
    }
    return drawn;
}

Tensors Pipeline::encode(const Tensors& sources) {
    Tensors told;
    for (const Condition& condition : bundle_.manifest().conditions) {
        Tensors inputs;
        for (const TensorSpec& spec : bundle_.manifest().graph(condition.encoder).inputs) {
            const auto given = sources.find(spec.name);
            if (given == sources.end()) {
                throw Error("the condition's encoder needs " + spec.name + ", which was not given.");
            }
            inputs[spec.name] = given->second;
        }
        told[condition.feeds] = engine(condition.encoder).run(inputs);
    }
    return told;
}

Tensor Pipeline::predict(const Tensor& x, std::int64_t timestep, const Tensors& told) {
    Tensors inputs = told;
    inputs["x"] = x;
    inputs["timestep"] = Tensor({x.batch()}, std::vector<float>(static_cast<std::size_t>(x.batch()), static_cast<float>(timestep)));
    return engine("denoiser").run(inputs);
}

Tensors Pipeline::with_null(const Tensors& told) const {
    Tensors doubled;
    for (const Condition& condition : bundle_.manifest().conditions) {
        const Tensor& given = told.at(condition.feeds);
        if (condition.null.empty()) {
            throw Error("guidance: the bundle was trained without a null condition. Pass guidance 1.");
        }
        Tensor null(given.shape);
        // A number for each channel, or the whole of one sample.
        const std::size_t run = given.stride() / condition.null.size();
        for (std::size_t i = 0; i < null.data.size(); ++i) {
            null.data[i] = condition.null[(i % given.stride()) / run];
        }
        doubled[condition.feeds] = joined(given, null);
    }
    return doubled;
}

Tensor Pipeline::decode(const Tensor& latent, std::uint64_t seed, const std::vector<std::uint64_t>& indices) {
    Tensors inputs = decoder_noise(seed, indices);
    inputs["latent"] = latent;
    return engine("decoder").run(inputs);
}

Batch Pipeline::sample(const Tensors& sources, std::uint64_t seed, const std::vector<std::uint64_t>& indices,
                       const Sampling& how) {
    const Schedule& schedule = *bundle_.manifest().schedule;
    const StepTable table = step_table(schedule, how.steps, how.spacing);
    const Tensors told = encode(sources);
    const bool guided = how.guidance != 1.0;
    const Tensors doubled = guided ? with_null(told) : Tensors{};
    const double last = static_cast<double>(std::max<std::size_t>(schedule.alphas_cumprod.size() - 1, 1));
    const auto said = [&](const Tensor& x, std::int64_t timestep) {
        const double share = static_cast<double>(timestep) / last;
        if (!guided || share < how.guidance_low || share > how.guidance_high) {
            return predict(x, timestep, told);
        }
        const Tensor both = predict(joined(x, x), timestep, doubled);
        Tensor mixed = slice(both, x.batch(), 2 * x.batch());
        const float weight = static_cast<float>(how.guidance);
        for (std::size_t i = 0; i < mixed.data.size(); ++i) {
            mixed.data[i] += weight * (both.data[i] - mixed.data[i]);
        }
        return mixed;
    };
    const auto fresh = [&](std::size_t step) {
        return normals(seed, indices, Purpose::step, bundle_.manifest().graph("denoiser").input("x").sample, step);
    };
    Batch batch;
    batch.latent = cldm::sample(how.sampler, how.eta, schedule.prediction_type, said, initial_noise(seed, indices), table, fresh);
    batch.image = decode(batch.latent, seed, indices);
    return batch;
}

}  // namespace cldm
