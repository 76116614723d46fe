#include "cldm/pipeline.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

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

// The label maps of a batch that begins at `first`, the last map standing for those that are missing.
Labels part(const Labels& maps, std::int64_t first, std::int64_t size) {
    Labels some{maps.shape, {}};
    some.shape[0] = size;
    const std::size_t pixels = maps.values.size() / static_cast<std::size_t>(maps.shape[0]);
    for (std::int64_t at = first; at < first + size; ++at) {
        const auto from = maps.values.begin() + std::min(at, maps.shape[0] - 1) * static_cast<std::ptrdiff_t>(pixels);
        some.values.insert(some.values.end(), from, from + static_cast<std::ptrdiff_t>(pixels));
    }
    return some;
}

// Into the value range. BundleError for NaN and infinite intensities.
void clip(Tensor& image, const Bundle& bundle) {
    const auto [low, high] = bundle.manifest().draws_labels ? std::array<float, 2>{0.0F, 1.0F} : bundle.manifest().value_range;
    for (float& value : image.data) {
        if (!std::isfinite(value)) {
            throw BundleError("bundle " + bundle.folder().string() + ": the decoder gave NaN or infinite intensities. "
                              "Check the bundle with cldm-cpp verify.");
        }
        value = std::clamp(value, low, high);
    }
}

constexpr const char* kAcquisition = "acquisition";

// A normal tensor for each input of a graph but one.
Tensors drawn_for(const GraphSpec& graph, const std::string& but, Purpose purpose, std::uint64_t seed,
                  const std::vector<std::uint64_t>& indices) {
    Tensors drawn;
    std::uint64_t step = 0;
    for (const TensorSpec& spec : graph.inputs) {
        if (spec.name != but) {
            drawn[spec.name] = normals(seed, indices, purpose, spec.sample, step++);
        }
    }
    return drawn;
}

std::string spelled(const Sampling& how) {
    return std::to_string(how.steps) + " steps of " + how.sampler + ", " + how.spacing + " spacing";
}

}  // namespace

Tensor one_hot(const Labels& maps, std::size_t classes) {
    Shape full = maps.shape;
    full.insert(full.begin() + 1, static_cast<std::int64_t>(classes));
    Tensor out(full);
    const std::size_t samples = static_cast<std::size_t>(maps.shape.at(0));
    const std::size_t pixels = maps.values.size() / std::max<std::size_t>(samples, 1);
    for (std::size_t n = 0; n < samples; ++n) {
        for (std::size_t p = 0; p < pixels; ++p) {
            const std::size_t label = maps.values[n * pixels + p];
            if (label >= classes) {
                throw InputError("label " + std::to_string(label) + " in the label maps, expected 0 to " +
                                 std::to_string(classes - 1) + ".");
            }
            out.data[(n * classes + label) * pixels + p] = 1.0F;
        }
    }
    return out;
}

Pipeline::Pipeline(Bundle bundle, const std::string& provider, int threads)
    : bundle_(std::move(bundle)), provider_(provider), threads_(threads) {
    const Manifest& manifest = bundle_.manifest();
    if (manifest.kind != "generator" || !manifest.schedule || !manifest.sampling) {
        throw BundleError("bundle " + bundle_.folder().string() + " is a " + manifest.kind + ", expected a generator.");
    }
    engine("denoiser");
    for (const Condition& condition : manifest.conditions) {
        engine(condition.encoder);
    }
    engine("decoder");
    if (manifest.graphs.count(kAcquisition)) {
        engine(kAcquisition);
    }
}

Engine& Pipeline::engine(const std::string& role) {
    std::unique_ptr<Engine>& found = engines_[role];
    if (!found) {
        found = open_engine(bundle_, role, provider_, threads_);
    }
    return *found;
}

void check_sampling(const Manifest& manifest, const Sampling& how) {
    const Sampling& only = manifest.sampling.value();
    const bool same = how.sampler == only.sampler && how.spacing == only.spacing && how.steps == only.steps &&
                      how.eta == only.eta && how.guidance == 1.0;
    if (!manifest.teacher.empty() && !same) {
        throw InputError(spelled(how) + ": bundle " + manifest.name + " was distilled for " + spelled(only) +
                         ", without guidance, and serves no others. Leave them out, or take its teacher, " +
                         manifest.teacher + ".");
    }
    const auto has_null = [](const Condition& condition) { return !condition.null.empty(); };
    const std::vector<Condition>& conditions = manifest.conditions;
    if (how.guidance != 1.0 && (conditions.empty() || !std::all_of(conditions.begin(), conditions.end(), has_null))) {
        throw InputError("guidance: bundle " + manifest.name + " was trained without a null condition, there is nothing "
                         "to guide away from. Leave guidance out, or give 1.");
    }
    if (!(how.guidance >= 0.0)) {
        throw InputError("guidance: expected 0 or more.");
    }
    check_sampler(how.sampler, how.eta);
    step_table(manifest.schedule.value(), how.steps, how.spacing);  // it refuses what the schedule does not have
}

Tensor Pipeline::generate(const Labels& maps, std::uint64_t seed, std::uint64_t first, const Sampling& how) {
    const Shape& image = bundle_.manifest().image;
    if (maps.shape.size() != image.size() || !std::equal(image.begin() + 1, image.end(), maps.shape.begin() + 1)) {
        throw InputError("label maps: expected the shape (N, spatial) with the size of the bundle's images.");
    }
    const std::size_t classes = bundle_.manifest().labels.size();
    Tensor told, known;
    const auto sources = [&](std::int64_t at, std::int64_t size) {
        const Shape flags{size, static_cast<std::int64_t>(classes)};
        known = Tensor(flags, std::vector<float>(count(flags), 1.0F));
        told = one_hot(part(maps, at, size), classes);
        return Views{{"one_hot", &told}, {"known", &known}};
    };
    return batches(maps.shape[0], sources, seed, first, how);
}

Tensor Pipeline::generate(const Tensor& given, std::uint64_t seed, std::uint64_t first, const Sampling& how) {
    const Shape& image = bundle_.manifest().image;
    if (given.shape.size() != image.size() + 1 || !std::equal(image.begin(), image.end(), given.shape.begin() + 1)) {
        throw InputError("images: expected the shape (N, channels, spatial) of the bundle's images.");
    }
    Tensor some;
    const auto sources = [&](std::int64_t at, std::int64_t size) {
        some = slice(given, at, std::min(at + size, given.batch()));
        while (some.batch() < size) {
            some = joined(some, slice(given, given.batch() - 1, given.batch()));
        }
        return Views{{"image", &some}};
    };
    return batches(given.batch(), sources, seed, first, how);
}

Tensor Pipeline::generate(std::int64_t samples, std::uint64_t seed, std::uint64_t first, const Sampling& how) {
    return batches(samples, [](std::int64_t, std::int64_t) { return Views{}; }, seed, first, how);
}

Tensor Pipeline::batches(std::int64_t samples, const Sources& sources, std::uint64_t seed, std::uint64_t first,
                         const Sampling& how) {
    const std::int64_t size = std::min<std::int64_t>(how.batch_size, samples);
    Shape shape = bundle_.manifest().draws_labels ? bundle_.manifest().graph("decoder").outputs.at(0).sample : bundle_.manifest().image;
    shape.insert(shape.begin(), samples);
    Tensor images(shape);
    std::vector<std::uint64_t> indices(static_cast<std::size_t>(size));
    for (std::int64_t at = 0; at < samples; at += size) {
        for (std::int64_t i = 0; i < size; ++i) {
            indices[static_cast<std::size_t>(i)] = first + static_cast<std::uint64_t>(std::min(at + i, samples - 1));
        }
        const Tensor drawn = sample(sources(at, size), seed, indices, how).image;
        const Tensor image_batch = slice(drawn, 0, std::min(size, samples - at));
        std::copy(image_batch.data.begin(), image_batch.data.end(),
                  images.data.begin() + at * static_cast<std::ptrdiff_t>(images.stride()));
    }
    clip(images, bundle_);
    return images;
}

Tensor Pipeline::initial_noise(std::uint64_t seed, const std::vector<std::uint64_t>& indices) const {
    return normals(seed, indices, Purpose::initial, bundle_.manifest().graph("denoiser").input("x").sample);
}

Tensors Pipeline::decoder_noise(std::uint64_t seed, const std::vector<std::uint64_t>& indices) const {
    return drawn_for(bundle_.manifest().graph("decoder"), "latent", Purpose::texture, seed, indices);
}

Tensors Pipeline::scan_noise(std::uint64_t seed, const std::vector<std::uint64_t>& indices) const {
    const auto found = bundle_.manifest().graphs.find(kAcquisition);
    return found == bundle_.manifest().graphs.end() ? Tensors{}
                                                    : drawn_for(found->second, "image", Purpose::scan, seed, indices);
}

Tensors Pipeline::encode(const Views& sources) {
    Tensors told;
    for (const Condition& condition : bundle_.manifest().conditions) {
        Views inputs;
        for (const TensorSpec& spec : bundle_.manifest().graph(condition.encoder).inputs) {
            const auto given = sources.find(spec.name);
            if (given == sources.end()) {
                throw InputError("bundle " + bundle_.manifest().name + " needs " + spec.name +
                                 ", which label maps do not give. Take a bundle that is conditioned by label maps.");
            }
            inputs[spec.name] = given->second;
        }
        told[condition.feeds] = engine(condition.encoder).run(inputs);
    }
    return told;
}

Tensor Pipeline::predict(const Tensor& x, std::int64_t timestep, const Tensors& told) {
    const Tensor steps({x.batch()}, std::vector<float>(static_cast<std::size_t>(x.batch()), static_cast<float>(timestep)));
    Views inputs = views(told);
    inputs["x"] = &x;
    inputs["timestep"] = &steps;
    return engine("denoiser").run(inputs);
}

Tensors Pipeline::with_null(const Tensors& told) const {
    Tensors doubled;
    for (const Condition& condition : bundle_.manifest().conditions) {
        const Tensor& given = told.at(condition.feeds);
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

bool Pipeline::guided_at(const Sampling& how, std::int64_t timestep) const {
    const std::size_t steps = bundle_.manifest().schedule->alphas_cumprod.size();
    const double share = static_cast<double>(timestep) / static_cast<double>(std::max<std::size_t>(steps - 1, 1));
    return how.guidance != 1.0 && share >= how.guidance_low && share <= how.guidance_high;
}

int Pipeline::evaluations(const Sampling& how) const {
    const StepTable table = step_table(*bundle_.manifest().schedule, how.steps, how.spacing);
    return std::accumulate(table.timesteps.begin(), table.timesteps.end(), 0, [&](int sum, std::int64_t timestep) {
        return sum + (guided_at(how, timestep) ? 2 : 1);
    });
}

Tensor Pipeline::latents(Tensor x, const Tensors& told, std::uint64_t seed, const std::vector<std::uint64_t>& indices,
                         const Sampling& how) {
    const Schedule& schedule = *bundle_.manifest().schedule;
    const Tensors doubled = how.guidance != 1.0 ? with_null(told) : Tensors{};
    const auto said = [&](const Tensor& at, std::int64_t timestep) {
        if (!guided_at(how, timestep)) {
            return predict(at, timestep, told);
        }
        const Tensor both = predict(joined(at, at), timestep, doubled);
        Tensor mixed = slice(both, at.batch(), 2 * at.batch());
        const float weight = static_cast<float>(how.guidance);
        for (std::size_t i = 0; i < mixed.data.size(); ++i) {
            mixed.data[i] += weight * (both.data[i] - mixed.data[i]);
        }
        return mixed;
    };
    const auto fresh = [&](std::size_t step) {
        return normals(seed, indices, Purpose::step, bundle_.manifest().graph("denoiser").input("x").sample, step);
    };
    return cldm::sample(how.sampler, how.eta, schedule.prediction_type, said, std::move(x),
                        step_table(schedule, how.steps, how.spacing), fresh);
}

Tensor Pipeline::decode(const Tensor& latent, const Tensors& noise) {
    Views inputs = views(noise);
    inputs["latent"] = &latent;
    return engine("decoder").run(inputs);
}

Tensor Pipeline::acquire(Tensor image, const Tensors& noise) {
    if (noise.empty()) {
        return image;
    }
    Views inputs = views(noise);
    inputs["image"] = &image;
    return engine(kAcquisition).run(inputs);
}

Batch Pipeline::sample(const Views& sources, std::uint64_t seed, const std::vector<std::uint64_t>& indices,
                       const Sampling& how) {
    check_sampling(bundle_.manifest(), how);
    Batch batch;
    batch.latent = latents(initial_noise(seed, indices), encode(sources), seed, indices, how);
    batch.image = acquire(decode(batch.latent, decoder_noise(seed, indices)), scan_noise(seed, indices));
    return batch;
}

}  // namespace cldm
