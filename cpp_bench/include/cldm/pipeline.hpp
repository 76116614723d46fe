// One batch of a generator bundle: from label maps and sample indices to latents and images.
#pragma once

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
    // Error for a bundle that is no generator, or that this program cannot serve.
    Pipeline(const Bundle& bundle, const std::string& provider, int threads);

    const Sampling& sampling() const { return sampling_; }

    // sources: the inputs of the conditions' encoders, such as one_hot; noise is drawn from the samples' streams.
    Batch sample(const Tensors& sources, std::uint64_t seed, const std::vector<std::uint64_t>& indices,
                 const Sampling& sampling);

    Tensors encode(const Tensors& sources);
    Tensor predict(const Tensor& x, std::int64_t timestep, const Tensors& told);
    Tensor decode(const Tensor& latent, std::uint64_t seed, const std::vector<std::uint64_t>& indices);
    Tensor initial_noise(std::uint64_t seed, const std::vector<std::uint64_t>& indices) const;
    Tensors decoder_noise(std::uint64_t seed, const std::vector<std::uint64_t>& indices) const;
    Tensor run(const std::string& role, const Tensors& inputs) { return engine(role).run(inputs); }

private:
    Engine& engine(const std::string& role);
    Tensors with_null(const Tensors& told) const;

    const Bundle& bundle_;
    std::string provider_;
    int threads_;
    Sampling sampling_;
    std::map<std::string, std::unique_ptr<Engine>> engines_;
};

// (N, *spatial) labels -> (N, classes, *spatial), one channel for each of the manifest's label names.
Tensor one_hot(const Shape& shape, const std::vector<std::uint8_t>& labels, std::size_t classes);

}  // namespace cldm
