#include "stream/terminal_assembler.h"

#include <algorithm>
#include <utility>

#include "stream/recorded_part.h"

namespace twinlog {

namespace {

// A read may be recorded before the write that it is of: that one returns a little later.
constexpr std::uint64_t late_write_ns = 5'000'000;

// Of a terminal that nobody reads no more writes get through than it has room for, which is 8 KiB
// (drivers/tty/pty.c). More is only claimed.
constexpr std::size_t most_writes = 4096;
constexpr std::uint64_t most_bytes = 64U << 10U;

}  // namespace

Origin TerminalAssembler::Write::origin() const {
    Origin origin{time, writer};
    origin.writer.comm = comm;
    return origin;
}

void TerminalAssembler::written(std::uint64_t, std::string_view bytes, std::uint64_t length,
                                GapReason, const Origin& origin) {
    last_time_ = std::max(last_time_, origin.time);
    Write write{.length = length,
                .bytes = was_read_ ? std::string() : std::string(bytes.substr(0, length)),
                .time = origin.time,
                .writer = origin.writer,
                .comm = std::string(origin.writer.comm)};
    held_bytes_ += write.bytes.size();
    auto place = writes_.end();
    while (place != writes_.begin() && std::prev(place)->time > write.time) --place;
    writes_.insert(place, std::move(write));
    while (writes_.size() > most_writes || (held_bytes_ > most_bytes && writes_.size() > 1)) {
        held_bytes_ -= writes_.front().bytes.size();
        writes_.pop_front();
    }
}

void TerminalAssembler::read(std::uint64_t position, std::string_view bytes, std::uint64_t length,
                             GapReason reason, std::uint64_t time) {
    last_time_ = std::max(last_time_, time);
    if (!was_read_) {
        was_read_ = true;
        for (Write& write : writes_) {
            held_bytes_ -= write.bytes.size();
            write.bytes.clear();
        }
    }
    RecordedPart part(position, bytes, length);
    part.drop_before(next_);
    if (part.length == 0) return;
    const std::uint64_t captured = part.bytes.size();
    if (reads_.emplace(part.position, Read{part.length, std::string(part.bytes), reason, time})
            .second) {
        held_bytes_ += captured;
    }
}

// The last writer before the read, or the first one right after it if there was none since the read
// before.
void TerminalAssembler::choose_writer(std::uint64_t read_time) {
    bool found = false;
    while (!writes_.empty() && writes_.front().time <= read_time) {
        writer_ = std::move(writes_.front());
        writes_.pop_front();
        found = true;
    }
    if (!found && !writes_.empty() && writes_.front().time <= read_time + late_write_ns) {
        writer_ = std::move(writes_.front());
        writes_.pop_front();
    }
}

void TerminalAssembler::hand_on(const Read& read) {
    choose_writer(read.time);
    Origin origin = writer_.origin();
    origin.time = read.time;
    if (!read.bytes.empty()) {
        const std::uint64_t position = next_;
        next_ += read.bytes.size();
        sink_.on_bytes(position, read.bytes, origin);
    }
    if (read.length > read.bytes.size()) {
        const std::uint64_t position = next_;
        const std::uint64_t missing = read.length - read.bytes.size();
        next_ += missing;
        sink_.on_gap(position, missing, read.reason, read.time);
    }
}

// Takes what was handed on already off the reads that are held. Reads do not overlap, unless the
// records lie.
void TerminalAssembler::drop_known() {
    while (!reads_.empty() && reads_.begin()->first < next_) {
        const std::uint64_t known = next_ - reads_.begin()->first;
        Read read = std::move(reads_.begin()->second);
        reads_.erase(reads_.begin());
        held_bytes_ -= read.bytes.size();
        if (read.length <= known) continue;
        read.length -= known;
        read.bytes.erase(0, known);
        const std::uint64_t left = read.bytes.size();
        if (reads_.emplace(next_, std::move(read)).second) held_bytes_ += left;
    }
}

void TerminalAssembler::settle(const StreamEnds& ends) {
    while (next_ < ends.read) {
        const auto first = reads_.begin();
        if (first == reads_.end() || first->first > next_) {
            const std::uint64_t until =
                first == reads_.end() ? ends.read : std::min(ends.read, first->first);
            const std::uint64_t position = next_;
            next_ = until;
            sink_.on_gap(position, until - position, GapReason::ring_full, last_time_);
            continue;
        }
        const Read read = std::move(first->second);
        held_bytes_ -= read.bytes.size();
        reads_.erase(first);
        hand_on(read);
        drop_known();
    }
}

void TerminalAssembler::skip(const StreamEnds& to) {
    const auto after = reads_.lower_bound(to.read);
    if (after != reads_.begin()) {
        const auto& [position, read] = *std::prev(after);
        settle({.read = std::min(to.read, position + read.length)});
    }
    if (to.read <= next_) return;
    const std::uint64_t position = next_;
    next_ = to.read;
    sink_.on_gap(position, to.read - position, GapReason::rotated, last_time_);
}

void TerminalAssembler::end(const StreamEnds& ends, const StreamEnds&) {
    settle(ends);
    if (was_read_) return;
    if (ends.read > 0) {
        // All that was read is lost on its way here; what went in is something else.
        for (const Write& write : writes_) held_bytes_ -= write.bytes.size();
        writes_.clear();
        return;
    }
    // Nobody ever read what came out: what went in is the best there is.
    for (const Write& write : writes_) {
        const std::uint64_t position = next_;
        next_ += write.length;
        if (!write.bytes.empty()) sink_.on_bytes(position, write.bytes, write.origin());
        if (write.length > write.bytes.size()) {
            sink_.on_gap(position + write.bytes.size(), write.length - write.bytes.size(),
                         GapReason::unread, write.time);
        }
        held_bytes_ -= write.bytes.size();
    }
    writes_.clear();
}

std::optional<std::uint64_t> TerminalAssembler::oldest_waiting() const {
    if (reads_.empty()) return std::nullopt;
    return reads_.begin()->second.time;
}

}  // namespace twinlog
