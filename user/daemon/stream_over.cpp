#include "daemon/stream_over.h"

#include <utility>

namespace twinlog {

namespace {

// A reader that is about to return from its read has emptied the pipe, and that is not recorded
// yet; one that cannot be seen is never ahead of what it was then.
bool has_taken_all(const tw_file& file, const StreamEnds& ends, const StreamEnds& before) {
    if (file.kind == TW_KIND_PTY || !ends.unread) return false;
    const bool rests = ends.written == before.written && ends.read == before.read;
    return *ends.unread == 0 && (ends.read == ends.written || (before.unread == 0 && rests));
}

}  // namespace

bool StreamOver::after(const tw_file& file, const StreamsLook& look) {
    const StreamEnds ends = look.ends_of(file);
    const StreamEnds before = std::exchange(before_, ends);
    const bool seemed = std::exchange(seemed_, false);
    if (look.held(file, TW_HOLDS_TO_WRITE)) return false;
    if (ends.at_end) return true;
    seemed_ = !look.held(file, TW_HOLDS_TO_READ) || has_taken_all(file, ends, before);
    // Who wrote in between is a holder that was seen in neither.
    return seemed && seemed_ && ends.written == before.written;
}

}  // namespace twinlog
