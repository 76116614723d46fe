// cldm-cpp: bundles without Python. See kUsage for what it does.
#include <functional>
#include <iostream>

#include "cldm/engine.hpp"
#include "cldm/error.hpp"
#include "commands.hpp"

namespace {

using namespace cldm;

constexpr const char* kUsage = R"(cldm-cpp: generate and segment with bundles, without Python. Research only; not a medical device.

cldm-cpp verify BUNDLE                                      replay reference.npz; exit 3 where it is not met
cldm-cpp generate BUNDLE --masks M.npy | --images I.npy | --n N --out O.npy [--seed S] [--first F] [--batch B]
                  [--sampler NAME] [--steps K] [--spacing NAME] [--guidance W]
                                                            images (N, C, H, W) float32 for label maps (N, H, W) uint8;
                                                            of bundles that draw label maps, their channels (N, C, D, H, W)
                                                            for images of that form, or for nothing
cldm-cpp segment BUNDLE --images I.npy --out L.npy [--spacing-mm ROWS,COLUMNS] [--mirror yes|no] [--batch B]
                                                            label maps (N, H, W) uint8 for images (N, H, W) or (N, C, H, W)
cldm-cpp bench BUNDLE [--batch B,B,...] [--rounds R] [--seconds X] [--sampler NAME] [--steps K] [--guidance W]
                  [--out FILE]                              time the networks: a row of JSON, added to FILE
cldm-cpp child                                              a contender of cldm bench: JSON lines in, JSON lines out
cldm-cpp noise SEED INDEX PURPOSE STEP COUNT --out N.npy    standard normals of one stream

All but the last two: [--provider P] [--threads T]. What is left out is the bundle's.
Exit codes: 0 done, 2 usage or input, 3 bundle, 5 provider.
Providers: )";

struct Command {
    int (*run)(const Arguments&);
    std::vector<std::string> options;
};

const std::map<std::string, Command> kCommands = {
    {"verify", {verify, {"provider", "threads"}}},
    {"generate", {generate, {"provider", "threads", "masks", "images", "n", "out", "seed", "first", "batch", "sampler", "steps", "spacing", "guidance"}}},
    {"segment", {segment, {"provider", "threads", "images", "out", "spacing-mm", "mirror", "batch"}}},
    {"bench", {bench, {"provider", "threads", "batch", "rounds", "seconds", "sampler", "steps", "guidance", "out"}}},
    {"child", {child, {}}},
    {"noise", {noise, {"out"}}}};

int usage(bool asked) {
    std::ostream& to = asked ? std::cout : std::cerr;
    to << kUsage;
    for (const std::string& name : kProviders) {
        to << name << " ";
    }
    to << "\n";
    return asked ? 0 : 2;
}

}  // namespace

int main(int count, char** values) {
    const std::string name = count > 1 ? values[1] : "";
    const auto command = kCommands.find(name);
    if (command == kCommands.end()) {
        return usage(name == "--help" || name == "-h");
    }
    try {
        return command->second.run(Arguments::parse(count - 2, values + 2, command->second.options));
    } catch (const Error& error) {
        std::cerr << "error: " << error.what() << "\n";
        return error.code();
    } catch (const std::exception& error) {  // out of memory, say
        std::cerr << "error: " << error.what() << "\n";
        return 1;
    }
}
