// `cldm-cpp bench`: one contender, timed as cldm_runtime.bench.contest does and told as its rows are: the keys are the
// COLUMNS of cldm_runtime.bench.rows, null where this program does not know.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "cldm/error.hpp"
#include "commands.hpp"
#include "machine.hpp"
#include "networks_work.hpp"
#include "remote.hpp"

namespace cldm {
namespace {

using nlohmann::json;

struct Options {
    std::vector<int> batches{1, 2, 4, 8, 16, 32};
    int rounds = 5;
    double seconds = 0.0;
    bool extrapolate = false;
};

// Five digits, which is more than a timing holds.
double rounded(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.5g", value);
    return std::stod(text);
}

// Seconds of one image, told from the parts of a batch.
double estimated(const json& parts) {
    double seconds = 0.0;
    for (const auto& [name, value] : parts.items()) {
        seconds += name == "images" ? 0.0 : value.get<double>();
    }
    return seconds / parts.at("images").get<double>();
}

// The first image of a fresh process, then every batch size; one that fails ends the search. The best of them.
int try_batches(const json& load, const Options& options, json& row) {
    Remote process;
    const json loaded = process.ask(load);
    process.ask({{"do", "prepare"}, {"batch", 1}});
    process.ask({{"do", "complete"}});
    row["first_image_seconds"] = rounded(process.seconds_since_begun());
    row["first_image_parts"] = {{"load", rounded(loaded.at("load"))}};
    row["scan"] = json::object();
    int best = 0;
    double most = 0.0;
    for (const int batch : options.batches) {
        try {
            process.ask({{"do", "prepare"}, {"batch", batch}});
            process.ask({{"do", "estimate"}});
            const double speed = 1.0 / estimated(process.ask({{"do", "estimate"}}).at("parts"));
            row["scan"][std::to_string(batch)] = rounded(speed);
            best = speed > most ? batch : best;
            most = std::max(most, speed);
        } catch (const std::runtime_error&) {
            if (best == 0) {
                throw;
            }
            break;
        }
    }
    return best;
}

// Seconds of one image, over as many batches as the options ask for.
double turn(Remote& process, const Options& options) {
    if (options.extrapolate) {
        return estimated(process.ask({{"do", "estimate"}}).at("parts"));
    }
    double spent = 0.0, images = 0.0;
    while (images == 0.0 || spent < options.seconds) {
        const json done = process.ask({{"do", "complete"}});
        spent += done.at("seconds").get<double>();
        images += done.at("images").get<double>();
    }
    return spent / images;
}

// The rounds, in another fresh process, whose memory is that of this batch size alone.
void time_rounds(const json& load, int batch, const Options& options, json& row) {
    Remote process;
    process.ask(load);
    process.ask({{"do", "prepare"}, {"batch", batch}});
    process.ask({{"do", options.extrapolate ? "estimate" : "complete"}});
    std::vector<double> seconds;
    for (int round = 0; round < options.rounds; ++round) {
        std::cerr << "round " << round + 1 << " of " << options.rounds << " ...\n";
        seconds.push_back(turn(process, options));
        row["seconds_per_image"].push_back(rounded(seconds.back()));
        row["turns"].push_back(round);
    }
    std::sort(seconds.begin(), seconds.end());
    row["images_per_second"] = rounded(2.0 / (seconds[(seconds.size() - 1) / 2] + seconds[seconds.size() / 2]));
    json parts = process.ask({{"do", "estimate"}}).at("parts");
    const double images = parts.at("images");
    parts.erase("images");
    for (const auto& [name, value] : parts.items()) {
        row["stages"][name] = rounded(value.get<double>() / images);
    }
    const json told = process.ask({{"do", "facts"}});
    row.update(told.at("facts"));
    row["peak_memory_mib"] = (told.at("peak_memory_bytes").get<std::uint64_t>() + (1U << 19)) >> 20;
}

std::string command_of(const Arguments& arguments, const std::string& folder) {
    std::string text = "cldm-cpp bench " + folder;
    for (const auto& [name, value] : arguments.options) {
        text += name == "out" ? "" : " --" + name + " " + value;
    }
    return text;
}

Options options_of(const Arguments& arguments, const Sampling& how) {
    Options options;
    if (const std::vector<double> asked = arguments.numbers("batch"); !asked.empty()) {
        options.batches.assign(asked.begin(), asked.end());
        if (!std::equal(asked.begin(), asked.end(), options.batches.begin()) || *std::min_element(asked.begin(), asked.end()) < 1) {
            throw InputError("--batch: expected whole numbers of at least 1, separated by commas.");
        }
    }
    options.rounds = arguments.whole("rounds", options.rounds);
    options.seconds = arguments.number("seconds", options.seconds);
    options.extrapolate = how.steps >= kLongLoop;
    return options;
}

}  // namespace

int bench(const Arguments& arguments) {
    const std::string folder = arguments.at(0, "BUNDLE"), provider = arguments.text("provider", "cpu");
    const Bundle bundle(folder);
    const Sampling how = asked_sampling(arguments, bundle.manifest());
    const Options options = options_of(arguments, how);
    check_provider(provider);
    json row;  // every key of COLUMNS, null at first
    for (const char* key : {"check", "gflop_per_image", "matrix_product_gflops", "share_of_matrix_product", "quality",
                            "quality_reason", "error"}) {
        row[key] = nullptr;
    }
    std::map<std::string, std::string> versions = engine_versions();
    versions["compiler"] = __VERSION__;
    row.update({{"name", bundle.manifest().name + " in C++, " + how.sampler + " " + std::to_string(how.steps)},
                {"kind", "networks"}, {"provider", provider}, {"threads", arguments.threads()}, {"seed", 0},
                {"timing", options.extrapolate ? "extrapolated from a few steps of the sampling loop" : "whole"},
                {"machine", machine()}, {"versions", versions}, {"date", now_utc()},
                {"command", command_of(arguments, std::filesystem::absolute(folder).lexically_normal().filename().string())}});
    const json load{{"factory", "cldm_runtime.bench.work:BundleNetworks"},
                    {"arguments", {{"bundle", folder}, {"provider", provider}, {"threads", arguments.threads()}, {"seed", 0},
                                   {"sampler", how.sampler}, {"steps", how.steps}, {"guidance", how.guidance}}}};
    try {
        row["batch_size"] = try_batches(load, options, row);
        time_rounds(load, row["batch_size"], options, row);
    } catch (const std::runtime_error& error) {
        throw ProviderError("bundle " + folder + ": cannot be timed. " + error.what());
    }
    std::cout << row.dump() << "\n";
    if (const std::string file = arguments.text("out", ""); !file.empty()) {
        std::ofstream rows(file, std::ios::app);
        rows << row.dump() << "\n";
        if (!rows.flush()) {
            throw InputError(file + ": cannot be written. Choose another name, or free some space.");
        }
    }
    return 0;
}

}  // namespace cldm
