#include "capture/backend.h"

#include <array>
#include <utility>

namespace twinlog {

namespace {

constexpr std::array<std::pair<Backend, std::string_view>, 3> names{
    std::pair{Backend::automatic, std::string_view("auto")},
    {Backend::tracepoint, "tracepoint"},
    {Backend::fentry, "fentry"}};

}  // namespace

std::string_view backend_name(Backend backend) {
    for (const auto& [known, name] : names) {
        if (known == backend) return name;
    }
    return "unknown";
}

Result<Backend> find_backend(const std::string& name) {
    for (const auto& [known, its_name] : names) {
        if (its_name == name) return known;
    }
    return fail("--backend " + name, "there is no such backend",
                "it is auto, tracepoint or fentry");
}

Result<std::vector<BackendPlan>> plan_backends(Backend wanted, const KernelProbe& kernel) {
    std::vector<BackendPlan> plans;
    if (wanted != Backend::fentry) {
        auto tracepoint = plan_tracepoint(kernel);
        // The other one needs of the kernel what this one needs.
        if (!tracepoint) return pass_on(std::move(tracepoint));
        plans.push_back(std::move(*tracepoint));
    }
    if (wanted != Backend::tracepoint) {
        auto fentry = plan_fentry(kernel);
        if (fentry) {
            const bool better =
                fentry->caveat.empty() && !plans.empty() && !plans.front().caveat.empty();
            plans.insert(better ? plans.begin() : plans.end(), std::move(*fentry));
        } else if (wanted == Backend::fentry) {
            return pass_on(std::move(fentry));
        }
    }
    return plans;
}

}  // namespace twinlog
