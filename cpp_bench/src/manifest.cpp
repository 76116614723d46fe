#include "cldm/manifest.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "cldm/error.hpp"
#include "cldm/npy.hpp"

namespace cldm {
namespace {

using nlohmann::json;

constexpr const char* kFormat = "cldm-bundle";
constexpr int kVersion = 1;

bool present(const json& value, const char* key) { return value.contains(key) && !value[key].is_null(); }

// A name that is no path: a manifest may not lead out of its folder.
std::string plain_name(const json& value) {
    const std::string name = value.get<std::string>();
    if (name.empty() || name.find('/') != std::string::npos || name.find('\\') != std::string::npos || name[0] == '.') {
        throw BundleError("file " + name + ": expected a plain name in the bundle's folder.");
    }
    return name;
}

TensorSpec tensor(const json& value) {
    TensorSpec spec{value.at("name"), value.at("dtype"), {}};
    const json& shape = value.at("shape");
    if (shape.empty() || shape[0] != "N") {
        throw BundleError("tensor " + spec.name + ": expected a shape that begins with \"N\".");
    }
    for (std::size_t i = 1; i < shape.size(); ++i) {
        spec.sample.push_back(shape[i].get<std::int64_t>());
    }
    return spec;
}

GraphSpec graph(const json& value) {
    GraphSpec spec;
    spec.file = plain_name(value.at("file"));
    spec.sha256 = value.at("sha256");
    spec.precision = value.at("precision");
    for (const json& item : value.at("inputs")) {
        spec.inputs.push_back(tensor(item));
    }
    for (const json& item : value.at("outputs")) {
        spec.outputs.push_back(tensor(item));
    }
    if (present(value, "torchscript")) {
        spec.torchscript = plain_name(value["torchscript"].at("file"));
        spec.torchscript_sha256 = value["torchscript"].at("sha256");
    }
    return spec;
}

Sampling sampling(const json& value) {
    Sampling spec;
    spec.sampler = value.at("sampler");
    spec.spacing = value.at("spacing");
    spec.steps = value.at("steps");
    spec.batch_size = value.at("batch_size");
    spec.eta = value.value("eta", 0.0);
    spec.guidance = value.value("guidance", 1.0);
    if (value.contains("guidance_interval")) {
        spec.guidance_low = value["guidance_interval"].at(0);
        spec.guidance_high = value["guidance_interval"].at(1);
    }
    return spec;
}

Normalisation normalisation(const json& value) {
    Normalisation rule;
    rule.scheme = value.at("scheme");
    rule.use_mask = value.value("use_mask", false);
    const bool scaled = rule.scheme == "CTNormalization";  // the only one that needs these numbers
    for (const auto& [key, number] : {std::pair{"mean", &rule.mean}, {"std", &rule.std},
                                      {"percentile_00_5", &rule.percentile_00_5},
                                      {"percentile_99_5", &rule.percentile_99_5}}) {
        if (scaled) {
            *number = value.at(key);
        }
    }
    return rule;
}

// Refuses what this program does not serve, by the name of the key.
void require_one_of(const json& found, const std::vector<std::string>& served, const std::string& key) {
    if (!found.is_string() || std::find(served.begin(), served.end(), found.get<std::string>()) == served.end()) {
        std::string names;
        for (const std::string& name : served) {
            names += (names.empty() ? "" : ", ") + name;
        }
        throw BundleError(key + ": found " + found.dump() + ", and cldm-cpp serves " + names + ". Use the Python runtime.");
    }
}

// Of images: planes, or volumes too where these are served.
void require_axes(const json& found, const std::string& key) {
    if (!found.is_array() || (found.size() != 2 && found.size() != 3)) {
        throw BundleError(key + ": found " + found.dump() + ", and cldm-cpp serves images of two or three axes. Use the Python "
                          "runtime.");
    }
}

void require_planes(const json& found, const std::string& key) {
    if (!found.is_array() || found.size() != 2) {
        throw BundleError(key + ": found " + found.dump() + ", and cldm-cpp segments images of two axes. Use the Python runtime.");
    }
}

void require_same_axes(const json& shape, const json& spacing_mm) {
    if (shape.size() != spacing_mm.size()) {
        throw BundleError("image.spacing_mm: found " + spacing_mm.dump() + ", expected a number for each axis of image.shape " +
                          shape.dump() + ". Export the bundle again.");
    }
}

void require_served(const json& value) {
    require_one_of(value.at("kind"), {"generator", "segmenter", "anatomy"}, "kind");
    require_axes(value.at("image").at("shape"), "image.shape");
    require_axes(value.at("image").at("spacing_mm"), "image.spacing_mm");
    require_same_axes(value["image"]["shape"], value["image"]["spacing_mm"]);
    if (present(value, "output")) {
        require_one_of(value["output"], {"image", "labels"}, "output");
    }
    const json& conditions = value.contains("conditions") ? value["conditions"] : json::array();
    for (std::size_t i = 0; i < conditions.size(); ++i) {
        const std::string where = "conditions[" + std::to_string(i) + "].";
        require_one_of(conditions[i].at("kind"), {"spatial", "vector"}, where + "kind");
        require_one_of(conditions[i].at("source"), {"masks", "attributes", "masks and attributes", "masks and classes", "images"}, where + "source");
    }
}

// The defaults are those of docs/bundle-format.md, 3.9.
SegmenterSpec segmenter(const json& value) {
    require_one_of(value.at("kind"), {"nnunet-2d"}, "segmenter.kind");
    require_planes(value.at("patch_size"), "segmenter.patch_size");
    require_planes(value.at("spacing_mm"), "segmenter.spacing_mm");
    SegmenterSpec spec;
    value.at("patch_size").get_to(spec.patch_size);
    spec.label_values = value.at("label_values").get<std::vector<std::uint8_t>>();
    value.at("spacing_mm").get_to(spec.spacing_mm);
    for (const json& item : value.at("normalisation")) {
        spec.normalisation.push_back(normalisation(item));
    }
    spec.axis_order = value.value("axis_order", std::array<int, 2>{0, 1});
    spec.crop_to_nonzero = value.value("crop_to_nonzero", true);
    spec.image_order = value.value("image_order", 3);
    spec.logits_order = value.value("logits_order", 1);
    spec.tile_step_size = value.value("tile_step_size", 0.5);
    spec.use_gaussian = value.value("use_gaussian", true);
    spec.gaussian_sigma_scale = value.value("gaussian_sigma_scale", 0.125);
    spec.mirror_axes = value.value("mirror_axes", std::vector<int>{0, 1});
    spec.mirror_by_default = value.value("mirror_by_default", true);
    spec.decision = value.value("decision", "argmax");
    const auto is_axis = [](int axis) { return axis == 0 || axis == 1; };
    const std::vector<std::string> schemes{"ZScoreNormalization", "CTNormalization", "NoNormalization",
                                           "RescaleTo01Normalization", "RGBTo01Normalization"};
    const std::pair<bool, const char*> checks[] = {
        {std::min(spec.patch_size[0], spec.patch_size[1]) >= 1, "patch_size: expected two positive integers"},
        {std::min(spec.spacing_mm[0], spec.spacing_mm[1]) > 0, "spacing_mm: expected two positive numbers"},
        {!spec.label_values.empty() && !spec.normalisation.empty(), "label_values, normalisation: empty"},
        {spec.axis_order == std::array<int, 2>{0, 1} || spec.axis_order == std::array<int, 2>{1, 0},
         "axis_order: expected [0, 1] or [1, 0]"},
        {std::min(spec.image_order, spec.logits_order) >= 0 && std::max(spec.image_order, spec.logits_order) <= 5,
         "image_order, logits_order: expected 0..5"},
        {spec.tile_step_size > 0 && spec.tile_step_size <= 1, "tile_step_size: expected a number in (0, 1]"},
        {spec.gaussian_sigma_scale > 0, "gaussian_sigma_scale: expected a positive number"},
        {spec.mirror_axes.size() <= 2 && std::all_of(spec.mirror_axes.begin(), spec.mirror_axes.end(), is_axis),
         "mirror_axes: expected some of 0 and 1"},
        {spec.decision == "argmax" || spec.decision == "regions", "decision: expected argmax or regions"},
        {std::all_of(spec.normalisation.begin(), spec.normalisation.end(), [&](const Normalisation& rule) {
             return std::find(schemes.begin(), schemes.end(), rule.scheme) != schemes.end();
         }), "normalisation: a scheme that is not nnU-Net's"}};
    for (const auto& [good, message] : checks) {
        if (!good) {
            throw BundleError(std::string("segmenter.") + message + ".");
        }
    }
    return spec;
}

Manifest read_manifest(const json& value) {
    if (value.at("format") != kFormat || value.at("format_version") != kVersion) {
        throw BundleError("format " + value.at("format").dump() + " " + value.at("format_version").dump() + ", expected " +
                    kFormat + " " + std::to_string(kVersion) + ".");
    }
    require_served(value);
    Manifest found;
    found.name = value.at("name");
    found.version = value.at("bundle_version");
    found.kind = value.at("kind");
    found.draws_labels = present(value, "output") && value["output"] == "labels";
    found.labels = value.at("labels").at("names").get<std::vector<std::string>>();
    found.regions = value.at("labels").at("regions").get<std::map<std::string, std::vector<std::uint8_t>>>();
    found.image = {value.at("image").at("channels").get<std::int64_t>()};
    for (const json& size : value.at("image").at("shape")) {
        found.image.push_back(size);
    }
    found.spacing_mm = value.at("image").at("spacing_mm").get<std::vector<double>>();
    value.at("image").at("value_range").get_to(found.value_range);
    for (const auto& [role, item] : value.at("graphs").items()) {
        found.graphs[role] = graph(item);
    }
    for (const json& item : value.value("conditions", json::array())) {
        Condition condition{item.at("kind"), item.at("source"), item.at("encoder"), item.at("feeds"), {}};
        if (present(item, "null")) {
            condition.null = item["null"].get<std::vector<float>>();
        }
        found.conditions.push_back(condition);
    }
    if (present(value, "schedule")) {
        found.schedule = Schedule{value["schedule"].at("prediction_type"),
                                  value["schedule"].at("alphas_cumprod").get<std::vector<double>>()};
    }
    if (present(value, "sampling")) {
        found.sampling = sampling(value["sampling"]);
    }
    if (present(value, "segmenter")) {
        found.segmenter = segmenter(value["segmenter"]);
    }
    if (present(value, "distilled")) {
        found.teacher = value["distilled"].at("teacher");
    }
    const json& reference = value.at("reference");
    found.reference_file = plain_name(reference.at("file"));
    found.reference_sha256 = reference.at("sha256");
    found.reference_seed = reference.at("seed");
    found.tolerances = reference.at("tolerances").get<std::map<std::string, double>>();
    return found;
}

// Links are refused, so that nothing outside the folder is read.
std::vector<unsigned char> regular_file(const std::filesystem::path& file) {
    std::error_code unknown;
    if (std::filesystem::symlink_status(file, unknown).type() != std::filesystem::file_type::regular) {
        throw BundleError(file.string() + ": missing or no regular file. Pass the folder that holds manifest.json.");
    }
    try {
        return read_file(file);
    } catch (const InputError& error) {
        throw BundleError(error.what());
    }
}

}  // namespace

const TensorSpec& GraphSpec::input(const std::string& name) const {
    for (const TensorSpec& spec : inputs) {
        if (spec.name == name) {
            return spec;
        }
    }
    throw BundleError("graph " + file + " has no input " + name + ".");
}

const GraphSpec& Manifest::graph(const std::string& role) const {
    const auto found = graphs.find(role);
    if (found == graphs.end()) {
        throw BundleError("bundle " + name + " has no graph " + role + ".");
    }
    return found->second;
}

Bundle::Bundle(std::filesystem::path folder) : folder_(std::move(folder)) {
    const std::filesystem::path file = folder_ / "manifest.json";
    const std::vector<unsigned char> bytes = regular_file(file);
    try {
        manifest_ = read_manifest(json::parse(bytes.begin(), bytes.end()));
    } catch (const json::exception& error) {
        throw BundleError(file.string() + ": not a valid manifest (" + error.what() + "). Copy or export the bundle again.");
    } catch (const BundleError& error) {
        throw BundleError(file.string() + ": " + error.what());
    }
    identity_ = manifest_.name + " " + manifest_.version + " (manifest " + sha256_of(bytes).substr(0, 12) + ")";
}

Spacing Bundle::spacing_mm() const {
    if (manifest_.spacing_mm.size() != 2) {
        throw BundleError("bundle " + folder_.string() + ": expected images of two axes.");
    }
    return {manifest_.spacing_mm[0], manifest_.spacing_mm[1]};
}

std::vector<unsigned char> Bundle::read(const std::string& file, const std::string& sha256) const {
    std::vector<unsigned char> bytes = regular_file(folder_ / file);
    if (sha256_of(bytes) != sha256) {
        throw BundleError((folder_ / file).string() + ": altered or damaged, its hash is not the manifest's. Copy or export the "
                                                "bundle again.");
    }
    return bytes;
}

}  // namespace cldm
