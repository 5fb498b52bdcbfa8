// Which containers the user asked for: --container and --pid.
#pragma once

#include <string>
#include <vector>

#include "record.h"
#include "store/container_info.h"

namespace twinlog {

struct Selection {
    std::vector<std::string> containers;  // names, ids or id prefixes
    std::vector<std::uint32_t> pids;

    bool operator==(const Selection&) const = default;

    // Nothing was asked for: every container is meant.
    [[nodiscard]] bool everything() const { return containers.empty() && pids.empty(); }
    // Whether containers that start later can be meant.
    [[nodiscard]] bool new_containers() const { return everything() || !containers.empty(); }
    [[nodiscard]] bool wants(const tw_start& start, const ContainerInfo& info) const;
};

}  // namespace twinlog
