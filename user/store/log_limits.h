// How large a container's log may become: as the host's options want it, or the container's labels.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "format/log_format.h"

namespace twinlog {

// As Docker's log options of these names.
struct LogLimits {
    std::int64_t max_size = 0;  // bytes of a file; 0 or less: never rotate
    int max_file = 1;
};

// The labels twinlog.max-size and twinlog.max-file stand above the host's limits. An image may
// carry them too, so that whoever made it could fill the disk: what they come to together is no
// more than `most`, or than the host's own. Labels that are no limits, or too large ones, are
// passed over, and the notes say so.
LogLimits limits_of(const LogOwner& owner, const LogLimits& host, std::uint64_t most,
                    std::vector<std::string>& notes);

}  // namespace twinlog
