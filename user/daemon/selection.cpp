#include "daemon/selection.h"

#include <algorithm>

namespace twinlog {

bool Selection::wants(const tw_start& start, const ContainerInfo& info) const {
    if (everything() || (start.flags & TW_START_BY_PID) != 0) return true;
    return std::any_of(containers.begin(), containers.end(), [&info](const std::string& asked) {
        return info.name == asked || info.id.starts_with(asked);
    });
}

}  // namespace twinlog
