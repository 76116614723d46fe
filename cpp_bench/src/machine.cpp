#include "machine.hpp"

#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <ctime>
#include <fstream>

namespace cldm {
namespace {

std::string processor(const utsname& system) {
    std::ifstream info("/proc/cpuinfo");
    for (std::string line; std::getline(info, line);) {
        const std::size_t colon = line.find(": ");
        if (line.rfind("model name", 0) == 0 && colon != std::string::npos) {
            return line.substr(colon + 2);
        }
    }
    return system.machine;
}

double rounded(double value, double steps) { return std::round(value * steps) / steps; }

}  // namespace

nlohmann::json machine() {
    utsname system{};
    uname(&system);
    cpu_set_t cores;
    CPU_ZERO(&cores);
    sched_getaffinity(0, sizeof cores, &cores);
    double load[3] = {};
    nlohmann::json loads;
    if (getloadavg(load, 3) == 3) {
        loads = {rounded(load[0], 100), rounded(load[1], 100), rounded(load[2], 100)};
    }
    const double bytes = static_cast<double>(sysconf(_SC_PAGE_SIZE)) * static_cast<double>(sysconf(_SC_PHYS_PAGES));
    return {{"cpu", processor(system)}, {"cores", CPU_COUNT(&cores)}, {"memory_gib", rounded(bytes / std::pow(2.0, 30), 10)},
            {"os", std::string(system.sysname) + "-" + system.release}, {"load", loads}};
}

std::string now_utc() {
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    gmtime_r(&now, &parts);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S+00:00", &parts);
    return text;
}

}  // namespace cldm
