// manifest.json of a bundle: every constant comes from it. docs/bundle-format.md is the specification.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cldm/tensor.hpp"

namespace cldm {

struct TensorSpec {
    std::string name, dtype;
    Shape sample;  // without the batch, which stands first
};

struct GraphSpec {
    std::string file, sha256, precision, torchscript, torchscript_sha256;
    std::vector<TensorSpec> inputs, outputs;

    const TensorSpec& input(const std::string& name) const;
};

struct Condition {
    std::string kind, source, encoder, feeds;
    std::vector<float> null;  // empty: none
};

struct Sampling {
    std::string sampler, spacing;
    int steps = 1, batch_size = 1;
    double eta = 0.0, guidance = 1.0, guidance_low = 0.0, guidance_high = 1.0;
};

struct Schedule {
    std::string prediction_type;
    std::vector<double> alphas_cumprod;
};

struct Manifest {
    std::string name, version, kind;
    std::vector<std::string> labels;
    Shape image;  // channels and spatial
    std::map<std::string, GraphSpec> graphs;
    std::vector<Condition> conditions;
    std::optional<Schedule> schedule;
    std::optional<Sampling> sampling;
    bool distilled = false;
    std::string reference_file, reference_sha256;
    std::uint64_t reference_seed = 0;
    std::map<std::string, double> tolerances;

    const GraphSpec& graph(const std::string& role) const;
};

// A bundle's folder. The bytes of its files have the hashes that the manifest states, or there is an Error.
class Bundle {
public:
    explicit Bundle(std::filesystem::path folder);

    const Manifest& manifest() const { return manifest_; }
    const std::filesystem::path& folder() const { return folder_; }
    std::vector<unsigned char> read(const std::string& file, const std::string& sha256) const;

private:
    std::filesystem::path folder_;
    Manifest manifest_;
};

std::string sha256_of(const std::vector<unsigned char>& bytes);

}  // namespace cldm
