// What a container's log holds that its checkpoint does not tell: a daemon that is killed may have
// written entries and not have saved yet that it did.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/result.h"
#include "store/log_writer.h"

namespace twinlog {

// A run and, by Source, how far its checkpoint has come, which was saved for both at once.
struct SavedRun {
    struct Stream {
        std::uint64_t done = 0;   // position up to which it was recorded
        std::uint64_t begun = 0;  // of the line that was not complete; done if there is none
    };
    std::uint32_t run = 0;
    std::int64_t since_ns = 0;  // Unix time of its start
    std::array<Stream, 2> streams{};
};

struct LogAhead {
    struct Stream {
        std::uint64_t in_log = 0;  // position behind the last byte found, 0 for none
        std::uint64_t lost = 0;    // by gaps that the checkpoint does not know
        std::uint64_t gaps = 0;
    };
    std::array<Stream, 2> streams{};  // by Source
    std::size_t read = 0;             // entries that were looked at
};

// Reads the end of the log, back to what the checkpoint knows, however long the log is. recovery:
// of its live file.
Result<LogAhead> look_ahead(const std::string& directory, const SavedRun& saved,
                            const Recovery& recovery);

}  // namespace twinlog
