#include "daemon/log_ahead.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "format/entry.h"
#include "read/log_reader.h"

namespace twinlog {

namespace {

constexpr std::uint64_t first_part = 256;  // entries
constexpr std::uint64_t part_growth = 16;
// An entry of another run that is so much older than this one was in the log before it: runs of one
// container follow each other, and what is held back is held for less than a second.
constexpr std::int64_t much_older_ns = 10'000'000'000;

// All that stands before such an entry was in the log when the checkpoint was saved.
bool is_known(const Entry& entry, const SavedRun& saved) {
    if (entry.run != saved.run) return entry.time_ns < saved.since_ns - much_older_ns;
    return entry.position < saved.streams[static_cast<std::size_t>(entry.source)].begun;
}

void add(const Entry& entry, const SavedRun& saved, LogAhead& ahead) {
    if (entry.run != saved.run) return;
    const auto index = static_cast<std::size_t>(entry.source);
    LogAhead::Stream& stream = ahead.streams[index];
    stream.in_log = std::max(stream.in_log, entry.position + stream_bytes(entry));
    if (!entry.gap || entry.position < saved.streams[index].done) return;
    stream.lost += entry.gap->bytes;
    ++stream.gaps;
}

struct Part {
    LogAhead ahead;
    bool is_enough = false;
};

Result<Part> read_last(std::uint64_t entries, const std::string& directory, const SavedRun& saved) {
    auto reader = LogReader::open(directory, ReadOptions{.tail = entries});
    if (!reader) return pass_on(std::move(reader));
    Part part;
    std::uint64_t counted = 0;
    // By Source: the line that the part begins with, if it has several pieces. Between those that
    // stand far before all the rest the reader passes over what the other stream has.
    std::array<std::optional<std::string>, 2> first_lines;
    for (;;) {
        const auto step = reader->next();
        if (!step) return fail(step.error());
        if (*step == LogReader::Step::end || *step == LogReader::Step::idle) break;
        if (*step != LogReader::Step::entry) continue;
        const Entry& entry = reader->entry();
        ++part.ahead.read;
        if (!entry.gap) ++counted;
        auto& first_line = first_lines.at(static_cast<std::size_t>(entry.source));
        const std::string_view line = entry.partial ? entry.partial->id : std::string_view();
        if (!first_line) first_line = line;
        const bool may_stand_before = entry.partial && line == *first_line;
        part.is_enough = part.is_enough || (!may_stand_before && is_known(entry, saved));
        add(entry, saved, part.ahead);
    }
    part.is_enough = part.is_enough || counted < entries;  // or the whole log
    return part;
}

}  // namespace

Result<LogAhead> look_ahead(const std::string& directory, const SavedRun& saved,
                            const Recovery& recovery) {
    LogAhead live;
    bool is_enough = recovery.last_run == saved.run;
    for (std::size_t i = 0; i < live.streams.size() && is_enough; ++i) {
        live.streams[i].in_log = recovery.next_positions[i];
        // What the live file does not know stands in rotated ones, or nowhere; gaps are not counted
        // yet.
        const std::uint64_t in_log = live.streams[i].in_log;
        is_enough = in_log != 0 && in_log <= saved.streams[i].done;
    }
    if (is_enough) return live;
    for (std::uint64_t entries = first_part;; entries *= part_growth) {
        auto part = read_last(entries, directory, saved);
        if (!part) return pass_on(std::move(part));
        if (part->is_enough) return part->ahead;
    }
}

}  // namespace twinlog
