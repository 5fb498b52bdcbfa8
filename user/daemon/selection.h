// Which containers the user asked for: --container and --pid.
#pragma once

#include <map>
#include <optional>
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

// Finds out when a beginning of an id that was asked for turns out to be more than one container's:
// who gave it may have meant one.
class SharedPrefixes {
 public:
    // What was asked for, if the container is the second one whose id begins so; once only.
    std::optional<std::string> second_of(const Selection& selection, const ContainerInfo& info);

 private:
    std::map<std::string, std::optional<std::string>> first_;  // id by prefix; none: it was said
};

}  // namespace twinlog
