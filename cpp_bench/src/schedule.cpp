#include "cldm/schedule.hpp"

#include <algorithm>
#include <cmath>

#include "cldm/error.hpp"

namespace cldm {
namespace {

using Steps = std::vector<std::int64_t>;

constexpr double kRho = 7.0;  // Karras et al., table 1

// Half to even, as NumPy's rint does, by the default rounding mode.
std::int64_t rounded(double value) { return static_cast<std::int64_t>(std::nearbyint(value)); }

// log(sigma / alpha), rising, without a last step of pure noise, where it is infinite.
std::vector<double> log_noise(const std::vector<double>& shares) {
    std::vector<double> levels;
    for (const double share : shares) {
        if (share > 0) {
            levels.push_back(0.5 * std::log((1.0 - share) / share));
        }
    }
    return levels;
}

// numpy.linspace: start + k * step, the end exact.
std::vector<double> linspace(double from, double to, int count) {
    std::vector<double> values;
    const double step = (to - from) / (count - 1);
    for (int k = 0; k < count; ++k) {
        values.push_back(k == count - 1 ? to : k * step + from);
    }
    return values;
}

double place(double wanted, const std::vector<double>& levels) {
    if (wanted <= levels.front()) {
        return 0.0;
    }
    if (wanted >= levels.back()) {
        return static_cast<double>(levels.size() - 1);
    }
    const auto above = std::upper_bound(levels.begin(), levels.end(), wanted);
    const std::size_t i = static_cast<std::size_t>(above - levels.begin()) - 1;
    return (wanted - levels[i]) / (levels[i + 1] - levels[i]) + static_cast<double>(i);
}

// The training steps of falling noise levels, each once, the noisiest step in the place of the first.
Steps nearest(const std::vector<double>& wanted, const std::vector<double>& levels, std::int64_t total) {
    const std::int64_t count = static_cast<std::int64_t>(wanted.size());
    Steps steps;
    for (const double level : wanted) {
        steps.push_back(rounded(place(level, levels)));
    }
    steps[0] = total - 1;
    std::reverse(steps.begin(), steps.end());
    std::int64_t highest = steps[0];
    for (std::int64_t k = 0; k < count; ++k) {
        const std::size_t at = static_cast<std::size_t>(k);
        highest = std::max(highest, steps[at] - k);
        steps[at] = std::min(highest, total - count) + k;
    }
    std::reverse(steps.begin(), steps.end());
    return steps;
}

Steps visited(const std::vector<double>& shares, int steps, const std::string& spacing) {
    const std::int64_t total = static_cast<std::int64_t>(shares.size());
    Steps found;
    if (spacing == "trailing") {
        for (int k = steps; k > 0; --k) {
            found.push_back(rounded(static_cast<double>(total * k) / steps) - 1);
        }
    } else if (spacing == "leading") {
        for (int k = steps - 1; k >= 0; --k) {
            found.push_back(k * (total / steps));
        }
    } else if (steps == 1 && (spacing == "linspace" || spacing == "log-snr" || spacing == "karras")) {
        found = {total - 1};
    } else if (spacing == "linspace") {
        for (int k = steps - 1; k >= 0; --k) {
            found.push_back(rounded(static_cast<double>((total - 1) * k) / (steps - 1)));
        }
    } else if (spacing == "log-snr") {
        const std::vector<double> levels = log_noise(shares);
        found = nearest(linspace(levels.back(), levels.front(), steps), levels, total);
    } else if (spacing == "karras") {
        const std::vector<double> levels = log_noise(shares);
        std::vector<double> wanted = linspace(std::exp(levels.back() / kRho), std::exp(levels.front() / kRho), steps);
        for (double& level : wanted) {
            level = kRho * std::log(level);
        }
        found = nearest(wanted, levels, total);
    } else {
        throw InputError("spacing " + spacing + " is unknown. Known: trailing, leading, linspace, log-snr, karras.");
    }
    return found;
}

}  // namespace

StepTable step_table(const Schedule& schedule, int steps, const std::string& spacing) {
    const std::vector<double>& shares = schedule.alphas_cumprod;
    if (steps < 1 || steps > static_cast<int>(shares.size())) {
        throw InputError("steps = " + std::to_string(steps) + ": expected 1 to " + std::to_string(shares.size()) + ".");
    }
    StepTable table;
    table.timesteps = visited(shares, steps, spacing);
    for (const std::int64_t t : table.timesteps) {
        table.alpha.push_back(std::sqrt(shares[static_cast<std::size_t>(t)]));
        table.sigma.push_back(std::sqrt(1.0 - shares[static_cast<std::size_t>(t)]));
    }
    table.alpha.push_back(1.0);
    table.sigma.push_back(0.0);
    return table;
}

}  // namespace cldm
