// Steps back of the wall clock, as a log's entries show them. Who looks for a time in a log by
// halves relies on their order.
#pragma once

#include <algorithm>
#include <cstdint>

#include "format/entry.h"

namespace twinlog {

// Entries of two streams, and those of a clock that is being corrected, may be out of order by so
// much.
inline constexpr std::int64_t time_disorder_ns = 1'000'000'000;

// The pieces of a cut line bear the time of the first one, however late they came.
inline bool has_own_time(const Entry& entry) {
    return !entry.partial || entry.partial->ordinal <= 1;
}

// Unix ns; 0: none.
struct ClockSteps {
    std::int64_t newest_ns = 0;    // of the entries so far
    std::int64_t set_back_ns = 0;  // of those that earlier ones follow

    // The entry that comes next in the log. True if the clock was set back before it.
    bool pass(const Entry& entry) {
        if (!has_own_time(entry)) return false;
        const bool back = newest_ns != 0 && entry.time_ns < newest_ns - time_disorder_ns;
        if (back) set_back_ns = std::max(set_back_ns, newest_ns);
        // From here on, the next step is one from where the clock is now.
        newest_ns = back ? entry.time_ns : std::max(newest_ns, entry.time_ns);
        return back;
    }
};

}  // namespace twinlog
