// Images for label maps, and what a segmenter makes of them, without Python. Research only; not a medical device.
//
//     generate_and_segment exported/lge exported/lge-segmenter masks.npy out
//
// masks.npy: (N, H, W) uint8. Writes out/images.npy, (N, 1, H, W) float32, and out/labels.npy, (N, H, W) uint8, and prints
// for each image the infarct's share of the segmented wall.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "cldm/error.hpp"
#include "cldm/npy.hpp"
#include "cldm/pipeline.hpp"
#include "cldm/segment.hpp"

namespace {

// Infarct pixels of all pixels of the wall in label map n; NaN where there is no wall. The manifest names the regions.
double infarct_size(const cldm::Labels& labels, std::size_t n, const cldm::Manifest& manifest) {
    const std::size_t pixels = labels.values.size() / static_cast<std::size_t>(labels.shape[0]);
    const auto area = [&](const char* region) {
        const std::vector<std::uint8_t>& values = manifest.regions.at(region);
        const auto first = labels.values.begin() + static_cast<std::ptrdiff_t>(n * pixels);
        return std::count_if(first, first + static_cast<std::ptrdiff_t>(pixels), [&](std::uint8_t label) {
            return std::find(values.begin(), values.end(), label) != values.end();
        });
    };
    const auto wall = area("myocardium");
    return wall ? static_cast<double>(area("infarct")) / static_cast<double>(wall) : std::nan("");
}

}  // namespace

int main(int count, char** values) {
    if (count != 5) {
        std::fprintf(stderr, "usage: %s GENERATOR SEGMENTER MASKS.npy FOLDER\n", values[0]);
        return 2;
    }
    try {
        cldm::Pipeline generator{cldm::Bundle(values[1])};  // checks the format; each file's hash when it is read
        cldm::Segmenter segmenter{cldm::Bundle(values[2])};
        const std::filesystem::path folder = values[4];
        std::filesystem::create_directories(folder);

        const cldm::Labels masks = cldm::read_npy(values[3]).as_labels();
        const cldm::Tensor images = generator.generate(masks, /*seed=*/0, /*first=*/0, generator.sampling());
        const cldm::Spacing spacing_mm = generator.spacing_mm();
        const cldm::Labels labels = segmenter.segment(images, spacing_mm);
        cldm::write_npy(folder / "images.npy", images);
        cldm::write_npy(folder / "labels.npy", labels);
        for (std::size_t n = 0; n < static_cast<std::size_t>(labels.shape[0]); ++n) {
            std::printf("%zu %.4f\n", n, infarct_size(labels, n, segmenter.bundle().manifest()));
        }
        return 0;
    } catch (const cldm::Error& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return error.code();
    } catch (const std::exception& error) {  // the folder cannot be made, no memory, ...
        std::fprintf(stderr, "error: %s\n", error.what());
        return 1;
    }
}
