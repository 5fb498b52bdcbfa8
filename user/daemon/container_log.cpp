#include "daemon/container_log.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace twinlog {

ContainerLog::ContainerLog(ContainerInfo info, std::unique_ptr<LogWriter> writer)
    : info_(std::move(info)) {
    if (writer != nullptr) set_writer(std::move(writer));
}

void ContainerLog::on_entry(const Entry& entry) {
    if (clock_.pass(entry)) {
        info_.set_back_ns = std::max(info_.set_back_ns, clock_.set_back_ns);
        set_back_ = true;
    }
    dirty_ = true;
    note_end(entry);
    if (is_open()) {
        writer_->append(entry);
    } else {
        drop(entry);
    }
}

void ContainerLog::note_end(const Entry& entry) {
    const auto index = static_cast<std::size_t>(entry.source);
    LogEnd& end = info_.streams[index].end;
    // A run that is not finished yet when the next one begins.
    if (entry.run < end.run) return;
    end = {entry.run, entry.position + stream_bytes(entry), true};
    info_.streams[1 - index].end.last = false;
}

void ContainerLog::drop(const Entry& entry) {
    const std::uint64_t bytes = stream_bytes(entry);
    auto gap = std::find_if(missing_.begin(), missing_.end(), [&](const Entry& other) {
        return other.run == entry.run && other.source == entry.source;
    });
    if (!entry.gap) {
        StreamCounters& counters = info_.streams[static_cast<std::size_t>(entry.source)];
        counters.lost += bytes;
        if (gap == missing_.end()) ++counters.gaps;
    }
    if (gap == missing_.end()) {
        gap = missing_.insert(gap, Entry{.source = entry.source,
                                         .time_ns = entry.time_ns,
                                         .run = entry.run,
                                         .position = entry.position,
                                         .gap = Gap{0, GapReason::store}});
    }
    gap->gap->bytes += bytes;
}

void ContainerLog::set_writer(std::unique_ptr<LogWriter> writer) {
    writer_ = std::move(writer);
    clock_ = writer_->recovery().clock;
    info_.set_back_ns = std::max(info_.set_back_ns, clock_.set_back_ns);
    for (const Entry& gap : std::exchange(missing_, {})) writer_->append(gap);
}

Status ContainerLog::flush() {
    if (!is_open()) return {};
    Status flushed = writer_->flush();
    const auto dropped = writer_->take_dropped();
    for (std::size_t source = 0; source < dropped.size(); ++source) {
        if (dropped[source].bytes == 0) continue;
        info_.streams[source].lost += dropped[source].bytes;
        info_.streams[source].gaps += dropped[source].places;
        dirty_ = true;
    }
    return flushed;
}

std::uint64_t ContainerLog::dropped_bytes() const {
    std::uint64_t bytes = is_open() ? writer_->dropped_bytes() : 0;
    for (const Entry& gap : missing_) bytes += gap.gap->bytes;
    return bytes;
}

}  // namespace twinlog
