// Segments images with an exported nnU-Net: the predictor of cldm_runtime.segmentation.segmenter.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "cldm/engine.hpp"

namespace cldm {

class Segmenter {
public:
    // threads: on the CPU these work on different slices. BundleError for a bundle that is no segmenter, ProviderError
    // for a provider that is not to be had.
    explicit Segmenter(Bundle bundle, const std::string& provider = "cpu", int threads = all_cores());

    const Bundle& bundle() const { return bundle_; }
    // Of the images that the bundle was exported for.
    Spacing spacing_mm() const { return bundle_.spacing_mm(); }

    // Label maps (N, H, W), in the domain's label values, of images (N, H, W) or (N, C, H, W). spacing_mm: of the images;
    // mirror: average over mirrored copies; without them the bundle's. InputError for images that cannot be taken.
    Labels segment(const Tensor& images, std::optional<Spacing> spacing_mm = {}, std::optional<bool> mirror = {},
                   int batch_size = 16);

private:
    const SegmenterSpec& spec() const { return *bundle_.manifest().segmenter; }
    // Label maps of some checked slices, `size` from `first` on.
    void work(const Tensor& slices, const Spacing& spacing_mm, bool mirror, std::size_t first, std::size_t size,
              Labels& labels);

    Bundle bundle_;
    bool on_cores_, fixed_batch_;  // fixed_batch_: every batch size costs an engine of its own
    int workers_;
    std::unique_ptr<Engine> engine_;
};

}  // namespace cldm
