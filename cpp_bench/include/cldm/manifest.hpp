// manifest.json of a bundle: every constant comes from it. docs/bundle-format.md is the specification.
#pragma once

#include <array>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cldm/tensor.hpp"

namespace cldm {

using Spacing = std::array<double, 2>;  // millimetres between rows and between columns

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

struct Normalisation {
    std::string scheme;  // the name of nnU-Net's class
    bool use_mask = false;
    float mean = 0.0F, std = 0.0F, percentile_00_5 = 0.0F, percentile_99_5 = 0.0F;
};

// See cldm_runtime.bundle.segmenter_spec. Pairs are (rows, columns) after axis_order has been applied.
struct SegmenterSpec {
    std::array<std::int64_t, 2> patch_size{};
    std::vector<std::uint8_t> label_values;
    Spacing spacing_mm{};
    std::vector<Normalisation> normalisation;
    std::array<int, 2> axis_order{};
    bool crop_to_nonzero = true, use_gaussian = true, mirror_by_default = true;
    int image_order = 0, logits_order = 0;
    double tile_step_size = 0.0, gaussian_sigma_scale = 0.0;
    std::vector<int> mirror_axes;
    std::string decision;
};

struct Manifest {
    std::string name, version, kind;
    bool draws_labels = false;  // channels of label maps, not images
    std::vector<std::string> labels;
    std::map<std::string, std::vector<std::uint8_t>> regions;  // unions of label values
    Shape image;                                               // channels and spatial
    std::vector<double> spacing_mm;
    std::array<float, 2> value_range{};
    std::map<std::string, GraphSpec> graphs;
    std::vector<Condition> conditions;
    std::optional<Schedule> schedule;
    std::optional<Sampling> sampling;
    std::optional<SegmenterSpec> segmenter;
    std::string teacher;  // of a distilled bundle; else empty
    std::string reference_file, reference_sha256;
    std::uint64_t reference_seed = 0;
    std::map<std::string, double> tolerances;

    const GraphSpec& graph(const std::string& role) const;
    // Name of the decoder's output.
    std::string drawn() const { return draws_labels ? "label_channels" : "image"; }
};

// A bundle's folder. The bytes of its files have the hashes that the manifest states, or there is a BundleError.
class Bundle {
public:
    explicit Bundle(std::filesystem::path folder);

    const Manifest& manifest() const { return manifest_; }
    const std::filesystem::path& folder() const { return folder_; }
    // Name, revision and digest, for people.
    const std::string& identity() const { return identity_; }
    // Of the images. BundleError where these are no planes.
    Spacing spacing_mm() const;
    std::vector<unsigned char> read(const std::string& file, const std::string& sha256) const;

private:
    std::filesystem::path folder_;
    Manifest manifest_;
    std::string identity_;
};

std::string sha256_of(const std::vector<unsigned char>& bytes);

}  // namespace cldm
