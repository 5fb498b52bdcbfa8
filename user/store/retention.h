// Keeps a store within what its user allows: a size for all, an age, a time for the logs of
// containers that are gone.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "store/active_logs.h"
#include "store/container_info.h"

namespace twinlog {

struct Retention {
    std::string store;
    std::string pods;  // root of the CRI layout; empty: none
    // Bytes of all logs. Oldest rotated files of the biggest containers go first, then live files
    // of containers that have ended, those that ended first before others. Files with a writer
    // stay, so it can be exceeded by one file of each log that is written to. 0: no limit.
    std::uint64_t max_total = 0;
    // ns since the last entry of a rotated file, or of any file of a container that has ended. 0:
    // no limit. A container of which nothing is left by that goes, too, once its runtime has
    // removed it.
    std::int64_t max_age_ns = 0;
    // ns since the end of a container that its runtime has removed; then all of it goes.
    // Negative: for ever.
    std::int64_t keep_removed_ns = -1;

    [[nodiscard]] bool any() const {
        return max_total > 0 || max_age_ns > 0 || keep_removed_ns >= 0;
    }
};

// Whether it is sure that the container's runtime has removed it.
using RemovedCheck = std::function<bool(const ContainerInfo&)>;

// Removes what is beyond the limits, as of now (Unix ns). What cannot be read or removed stays.
void enforce(const Retention& retention, ActiveLogs& active, const RemovedCheck& removed,
             std::int64_t now_ns);
// The same for max_total alone; returns how many bytes all logs have then.
std::uint64_t enforce_total(const Retention& retention, ActiveLogs& active);

}  // namespace twinlog
