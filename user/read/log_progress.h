// How far a log was read, by stream: what shows that something of it is gone, though all that is
// there can be read.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "format/entry.h"
#include "store/removal.h"

namespace twinlog {

struct StreamProgress {
    bool known = false;
    bool damaged = false;  // something was damaged since the last entry
    std::uint32_t run = 0;
    std::uint64_t next = 0;  // position of the byte behind the last entry

    // Bytes of its run that should stand before the entry and do not.
    [[nodiscard]] std::uint64_t missing_before(const Entry& entry) const {
        const bool follows = known && entry.run == run && entry.position > next;
        return follows ? entry.position - next : 0;
    }
    void pass(const Entry& entry) {
        // Of dockerd's entries nothing is known. A run may end after the next has begun.
        if (entry.run == 0 || entry.run < run) return;
        *this = {true, false, entry.run, entry.position + stream_bytes(entry)};
    }
};

using LogProgress = std::array<StreamProgress, 2>;  // by Source

struct MissingEnd {
    Source source = Source::stdout_;
    std::uint32_t run = 0;
    std::uint64_t position = 0;  // of the first of the bytes
    std::uint64_t bytes = 0;
    bool at_most = false;  // rotation may have taken some of them before
};

// What a log that was to have these ends lacks, by what was read of it up to its end. from_start:
// all its files were read from their beginnings.
std::vector<MissingEnd> missing_ends(const LogEnds& ends, const LogProgress& read, bool from_start);

}  // namespace twinlog
