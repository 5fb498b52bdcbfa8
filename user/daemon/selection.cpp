#include "daemon/selection.h"

#include <algorithm>

namespace twinlog {

bool Selection::wants(const tw_start& start, const ContainerInfo& info) const {
    if (everything() || (start.flags & TW_START_BY_PID) != 0) return true;
    return std::any_of(containers.begin(), containers.end(), [&info](const std::string& asked) {
        return info.name == asked || info.id.starts_with(asked);
    });
}

std::optional<std::string> SharedPrefixes::second_of(const Selection& selection,
                                                     const ContainerInfo& info) {
    std::optional<std::string> shared;
    for (const std::string& asked : selection.containers) {
        if (info.name == asked || info.id == asked || !info.id.starts_with(asked)) continue;
        auto& first = first_.try_emplace(asked, info.id).first->second;
        if (!first || *first == info.id) continue;
        first.reset();
        shared = asked;
    }
    return shared;
}

}  // namespace twinlog
