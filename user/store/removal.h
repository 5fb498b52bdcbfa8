// What retention took the end of a log for: a log that is short, or gone, without that is damaged.
// It has a file of its own, as container.json is the daemon's who may be about to capture the next
// run.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "store/container_info.h"

namespace twinlog {

using LogEnds = std::array<LogEnd, 2>;  // by Source

inline LogEnds log_ends(const ContainerInfo& info) {
    return {info.streams[0].end, info.streams[1].end};
}

struct Removal {
    std::string limit;  // the option: max-age, max-total
    std::int64_t time_ns = 0;
    LogEnds ends;  // what the log ended with: nothing that came later was removed

    // The last entry of a log with these ends was removed.
    [[nodiscard]] bool explains(const LogEnds& now) const { return ends == now; }
};

// directory is a container's.
Status save_removal(const std::string& directory, const Removal& removal);
// None where there is none that can be read.
std::optional<Removal> read_removal(const std::string& directory);

}  // namespace twinlog
