// What a daemon that ended without a word left in the store's pins.
#pragma once

#include <cstdint>
#include <optional>

#include "base/result.h"
#include "capture/backend.h"
#include "capture/pins.h"

namespace twinlog {

struct FormerDaemon {
    Backend backend = Backend::tracepoint;  // whose programs are attached
    std::uint64_t ring_size = 0;            // bytes
};

// Nothing where there is nothing to take over; what was left unfinished is removed. The error is of
// maps that this version cannot work with.
Result<std::optional<FormerDaemon>> find_former(Pins& pins);

}  // namespace twinlog
