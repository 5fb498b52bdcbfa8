#include "read/log_progress.h"

#include <algorithm>
#include <cstddef>

namespace twinlog {

namespace {

bool is_short(const LogEnd& end, const StreamProgress& read) {
    if (end.run == 0) return false;
    if (!read.known || read.run < end.run) return true;
    return read.run == end.run && read.next < end.position;
}

}  // namespace

std::vector<MissingEnd> missing_ends(const LogEnds& ends, const LogProgress& read,
                                     bool from_start) {
    const auto may_tell = [&](std::size_t source) { return from_start || read[source].known; };
    std::vector<MissingEnd> missing;
    const auto* const last =
        std::find_if(ends.begin(), ends.end(), [](const LogEnd& end) { return end.last; });
    if (last == ends.end()) return missing;
    const auto last_source = static_cast<std::size_t>(last - ends.begin());
    // Where the last entry is there, rotation has taken what is not of the other stream.
    if (!may_tell(last_source) || !is_short(*last, read[last_source])) return missing;
    for (const Source source : {Source::stdout_, Source::stderr_}) {
        const auto index = static_cast<std::size_t>(source);
        const LogEnd& end = ends[index];
        if (!may_tell(index) || !is_short(end, read[index])) continue;
        const bool begun = read[index].known && read[index].run == end.run;
        const std::uint64_t from = begun ? read[index].next : 0;
        missing.push_back({source, end.run, from, end.position - from, !begun});
    }
    return missing;
}

}  // namespace twinlog
