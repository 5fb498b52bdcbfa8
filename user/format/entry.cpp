// The texts that name why bytes are missing.
#include "format/entry.h"

namespace twinlog {

std::string_view gap_reason_text(GapReason reason) {
    switch (reason) {
        case GapReason::ring_full:
            return "ring full";
        case GapReason::fault:
            return "the writer's memory was gone";
        case GapReason::zero_copy:
            return "written without a copy (sendfile, splice …)";
        case GapReason::store:
            return "the log could not be written";
        case GapReason::unread:
            return "left in the pipe, nobody read it";
        case GapReason::rotated:
            return "more came after it than the log keeps";
        case GapReason::damaged:
            return "the log was damaged after it was written";
    }
    return "unknown reason";
}

std::uint64_t stream_bytes(const Entry& entry) {
    if (entry.gap) return entry.gap->bytes;
    const bool complete = !entry.partial || entry.partial->last;
    return entry.line.size() + (complete ? 1 : 0);
}

}  // namespace twinlog
