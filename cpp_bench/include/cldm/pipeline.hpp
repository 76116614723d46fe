// A generator bundle: from label maps and sample indices to latents and images.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "cldm/engine.hpp"
#include "cldm/samplers.hpp"

namespace cldm {

struct Batch {
    Tensor latent, image;
};

class Pipeline {
public:
    // BundleError for a bundle that is no generator, ProviderError for a provider that is not to be had.
    explicit Pipeline(Bundle bundle, const std::string& provider = "cpu", int threads = all_cores());

    const Bundle& bundle() const { return bundle_; }
    const Sampling& sampling() const { return *bundle_.manifest().sampling; }
    Spacing spacing_mm() const { return bundle_.spacing_mm(); }

    // Images (N, C, *spatial) in the manifest's value range for label maps (N, *spatial); sample i has the index
    // first + i. A short last batch is filled up, so that all have one shape. All classes count, also for bundles that
    // can leave some free. InputError for maps that do not fit.
    Tensor generate(const Labels& maps, std::uint64_t seed, std::uint64_t first, const Sampling& how);
    // The same for images (N, C, *spatial), of a bundle that draws channels of label maps for them: in [0, 1].
    Tensor generate(const Tensor& given, std::uint64_t seed, std::uint64_t first, const Sampling& how);
    // The same without a condition.
    Tensor generate(std::int64_t samples, std::uint64_t seed, std::uint64_t first, const Sampling& how);

    // sources: the inputs of the conditions' encoders, such as one_hot; noise is drawn from the samples' streams.
    Batch sample(const Views& sources, std::uint64_t seed, const std::vector<std::uint64_t>& indices, const Sampling& how);

    // The parts of `sample`.
    Tensor initial_noise(std::uint64_t seed, const std::vector<std::uint64_t>& indices) const;
    Tensors decoder_noise(std::uint64_t seed, const std::vector<std::uint64_t>& indices) const;
    // For the last graph, which applies the scanner's noise; empty without one.
    Tensors scan_noise(std::uint64_t seed, const std::vector<std::uint64_t>& indices) const;
    Tensors encode(const Views& sources);
    Tensor latents(Tensor x, const Tensors& told, std::uint64_t seed, const std::vector<std::uint64_t>& indices,
                   const Sampling& how);
    Tensor decode(const Tensor& latent, const Tensors& noise);
    // The image as the scanner gives it; unchanged where there is no noise for it.
    Tensor acquire(Tensor image, const Tensors& noise);

    // How often the denoiser is asked for one image, both halves of a guided step counted.
    int evaluations(const Sampling& how) const;

private:
    // The tensors for samples [at, at + size), of which the last is repeated behind the end; valid until the next call.
    using Sources = std::function<Views(std::int64_t at, std::int64_t size)>;

    Tensor batches(std::int64_t samples, const Sources& sources, std::uint64_t seed, std::uint64_t first, const Sampling& how);
    Engine& engine(const std::string& role);
    Tensor predict(const Tensor& x, std::int64_t timestep, const Tensors& told);
    Tensors with_null(const Tensors& told) const;
    bool guided_at(const Sampling& how, std::int64_t timestep) const;

    Bundle bundle_;
    std::string provider_;
    int threads_;
    std::map<std::string, std::unique_ptr<Engine>> engines_;
};

// InputError for settings that a generator bundle does not serve.
void check_sampling(const Manifest& manifest, const Sampling& how);

// (N, *spatial) labels -> (N, classes, *spatial), one channel for each of the manifest's label names.
Tensor one_hot(const Labels& maps, std::size_t classes);

}  // namespace cldm
