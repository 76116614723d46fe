#include "cldm/samplers.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "cldm/error.hpp"

namespace cldm {
namespace {

struct Level {
    double a, s, a_next, s_next;
};

Level level(const StepTable& table, std::size_t k) {
    return {table.alpha[k], table.sigma[k], table.alpha[k + 1], table.sigma[k + 1]};
}

// p * x + q * y, number by number, in single precision.
Tensor mixed(double p, const Tensor& x, double q, const Tensor& y) {
    Tensor out(x.shape);
    const float fp = static_cast<float>(p), fq = static_cast<float>(q);
    for (std::size_t i = 0; i < out.data.size(); ++i) {
        out.data[i] = fp * x.data[i] + fq * y.data[i];
    }
    return out;
}

// Half the log of the signal-to-noise ratio; infinite at either end of the schedule.
double log_ratio(double alpha, double sigma) {
    if (alpha <= 0.0 || sigma <= 0.0) {
        return sigma <= 0.0 ? std::numeric_limits<double>::infinity() : -std::numeric_limits<double>::infinity();
    }
    return std::log(alpha / sigma);
}

double posterior_deviation(const Level& l) {
    const double ratio = l.a / l.a_next;
    return l.s_next / l.s * std::sqrt(std::max(1.0 - ratio * ratio, 0.0));
}

Tensor clean(const std::string& kind, const Tensor& said, const Tensor& x, const Level& l) {
    if (kind == "epsilon") {
        return mixed(1.0 / l.a, x, -l.s / l.a, said);
    }
    if (kind == "v") {
        return mixed(l.a, x, -l.s, said);
    }
    if (kind == "flow") {
        return mixed(1.0 / (l.a + l.s), x, -l.s / (l.a + l.s), said);
    }
    if (kind == "sample") {
        return said;
    }
    throw BundleError("prediction_type " + kind + " is unknown. Known: epsilon, v, sample, flow.");
}

// x0 in the middle of a step of length h: from its start and the start of the step before (the latest last).
Tensor extrapolated(const std::vector<Tensor>& known, double h, double h_before) {
    if (known.size() == 1 || !std::isfinite(h)) {
        return known.back();
    }
    const double r = h / (2.0 * h_before);
    return mixed(1.0 + r, known[1], -r, known[0]);
}

// The same once x0 at the end of the step is known too: UniC.
Tensor interpolated(const std::vector<Tensor>& known, const Tensor& x0, double h, double h_before) {
    if (known.size() == 1) {
        return mixed(0.5, known[0], 0.5, x0);
    }
    const double b_1 = -1.0 / h - 1.0 / std::expm1(-h), b_2 = -2.0 * b_1 / h - 1.0 / std::expm1(-h), r = h_before / h;
    const double rho_1 = (b_1 - b_2) / (1.0 + r);
    const Tensor before = mixed(-rho_1 / r, known[0], 1.0 + rho_1 / r - (b_1 - rho_1), known[1]);
    return mixed(1.0, before, b_1 - rho_1, x0);
}

}  // namespace

void check_sampler(const std::string& sampler, double eta) {
    if (sampler != "ddim" && sampler != "ddpm" && sampler != "dpm++2m" && sampler != "unipc") {
        throw InputError("sampler " + sampler + " is unknown. Known: ddim, ddpm, dpm++2m, unipc.");
    }
    if (eta < 0.0 || eta > 1.0 || (eta > 0.0 && sampler != "ddim")) {
        throw InputError("eta: expected 0 to 1, and 0 for every sampler but ddim.");
    }
}

Tensor sample(const std::string& sampler, double eta, const std::string& prediction_type, const Predict& predict,
              Tensor x, const StepTable& table, const Noise& noise) {
    const bool ddim = sampler == "ddim", ddpm = sampler == "ddpm", unipc = sampler == "unipc";
    check_sampler(sampler, eta);
    std::vector<Tensor> known;
    std::optional<Tensor> start;
    double h = 0.0, h_before = 0.0, s_start = 1.0;
    for (std::size_t k = 0; k < table.size(); ++k) {
        const Level l = level(table, k);
        const Tensor x0 = clean(prediction_type, predict(x, table.timesteps[k]), x, l);
        if (ddim || ddpm) {
            double spread = ddpm ? posterior_deviation(l) : eta * posterior_deviation(l);
            if (ddim) {
                const Tensor eps = mixed(1.0 / l.s, x, -l.a / l.s, x0);
                x = mixed(l.a_next, x0, std::sqrt(std::max(l.s_next * l.s_next - spread * spread, 0.0)), eps);
            } else {
                const double alpha_t = (l.a / l.a_next) * (l.a / l.a_next), squared = l.s * l.s;
                const double beta_t = squared - alpha_t * l.s_next * l.s_next;
                x = mixed(l.a_next * beta_t / squared, x0, std::sqrt(alpha_t) * l.s_next * l.s_next / squared, x);
            }
            if (spread > 0.0) {
                x = mixed(1.0, x, spread, noise(k));
            }
            continue;
        }
        if (unipc && !known.empty()) {
            x = mixed(l.s / s_start, *start, -l.a * std::expm1(-h), interpolated(known, x0, h, h_before));
        }
        if (known.size() == 2) {
            known.erase(known.begin());
        }
        known.push_back(x0);
        h_before = h;
        h = log_ratio(l.a_next, l.s_next) - log_ratio(l.a, l.s);
        start = x;
        s_start = l.s;
        x = mixed(l.s_next / l.s, x, -l.a_next * std::expm1(-h), extrapolated(known, h, h_before));
    }
    return x;
}

}  // namespace cldm
