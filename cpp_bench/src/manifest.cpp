#include "cldm/manifest.hpp"

#include <nlohmann/json.hpp>

#include "cldm/error.hpp"
#include "cldm/npy.hpp"

namespace cldm {
namespace {

using nlohmann::json;

constexpr const char* kFormat = "cldm-bundle";
constexpr int kVersion = 1;

// A name that is no path: a manifest may not lead out of its folder.
std::string plain_name(const json& value) {
    const std::string name = value.get<std::string>();
    if (name.empty() || name.find('/') != std::string::npos || name.find('\\') != std::string::npos || name[0] == '.') {
        throw Error("file " + name + ": expected a plain name in the bundle's folder.");
    }
    return name;
}

TensorSpec tensor(const json& value) {
    TensorSpec spec{value.at("name"), value.at("dtype"), {}};
    const json& shape = value.at("shape");
    if (shape.empty() || shape[0] != "N") {
        throw Error("tensor " + spec.name + ": expected a shape that begins with \"N\".");
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
    if (value.contains("torchscript") && !value["torchscript"].is_null()) {
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

Manifest read_manifest(const json& value) {
    if (value.at("format") != kFormat || value.at("format_version") != kVersion) {
        throw Error("format " + value.at("format").dump() + " " + value.at("format_version").dump() + ", expected " +
                    kFormat + " " + std::to_string(kVersion) + ".");
    }
    Manifest found;
    found.name = value.at("name");
    found.version = value.at("bundle_version");
    found.kind = value.at("kind");
    found.labels = value.at("labels").at("names").get<std::vector<std::string>>();
    found.image = {value.at("image").at("channels").get<std::int64_t>()};
    for (const json& size : value.at("image").at("shape")) {
        found.image.push_back(size);
    }
    for (const auto& [role, item] : value.at("graphs").items()) {
        found.graphs[role] = graph(item);
    }
    for (const json& item : value.at("conditions")) {
        Condition condition{item.at("kind"), item.at("source"), item.at("encoder"), item.at("feeds"), {}};
        if (item.contains("null") && !item["null"].is_null()) {
            condition.null = item["null"].get<std::vector<float>>();
        }
        found.conditions.push_back(condition);
    }
    if (value.contains("schedule") && !value["schedule"].is_null()) {
        found.schedule = Schedule{value["schedule"].at("prediction_type"),
                                  value["schedule"].at("alphas_cumprod").get<std::vector<double>>()};
    }
    if (value.contains("sampling") && !value["sampling"].is_null()) {
        found.sampling = sampling(value["sampling"]);
    }
    found.distilled = value.contains("distilled") && !value["distilled"].is_null();
    const json& reference = value.at("reference");
    found.reference_file = plain_name(reference.at("file"));
    found.reference_sha256 = reference.at("sha256");
    found.reference_seed = reference.at("seed");
    found.tolerances = reference.at("tolerances").get<std::map<std::string, double>>();
    return found;
}

}  // namespace

const TensorSpec& GraphSpec::input(const std::string& name) const {
    for (const TensorSpec& spec : inputs) {
        if (spec.name == name) {
            return spec;
        }
    }
    throw Error("graph " + file + " has no input " + name + ".");
}

const GraphSpec& Manifest::graph(const std::string& role) const {
    const auto found = graphs.find(role);
    if (found == graphs.end()) {
        throw Error("bundle " + name + " has no graph " + role + ".");
    }
    return found->second;
}

Bundle::Bundle(std::filesystem::path folder) : folder_(std::move(folder)) {
    const std::filesystem::path file = folder_ / "manifest.json";
    const std::vector<unsigned char> bytes = read_file(file);
    try {
        manifest_ = read_manifest(json::parse(bytes.begin(), bytes.end()));
    } catch (const json::exception& error) {
        throw Error(file.string() + ": not a valid manifest (" + error.what() + "). Copy or export the bundle again.");
    } catch (const Error& error) {
        throw Error(file.string() + ": " + error.what());
    }
}

std::vector<unsigned char> Bundle::read(const std::string& file, const std::string& sha256) const {
    std::vector<unsigned char> bytes = read_file(folder_ / file);
    if (sha256_of(bytes) != sha256) {
        throw Error((folder_ / file).string() + ": altered or damaged, its hash is not the manifest's. Copy or export the "
                                                "bundle again.");
    }
    return bytes;
}

}  // namespace cldm
