// The log of one container, and what its streams' counters say of it.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/result.h"
#include "format/entry.h"
#include "store/clock_steps.h"
#include "store/container_info.h"
#include "store/log_writer.h"
#include "stream/line_splitter.h"

namespace twinlog {

// One container's log and what is known of it; shared by its streams and by its runs. Where the log
// could not be opened yet it has no writer, and what comes meanwhile is a gap once it has one.
class ContainerLog : public EntrySink {
 public:
    ContainerLog(ContainerInfo info, std::unique_ptr<LogWriter> writer);

    void on_entry(const Entry& entry) override;
    [[nodiscard]] bool is_open() const { return writer_ != nullptr; }
    // There is something for flush() to do.
    [[nodiscard]] bool has_pending() const { return is_open() && writer_->has_pending(); }
    // What the writer had to drop counts as lost.
    Status flush();
    // Of streams, missing in the log, and no gap in it tells of them yet.
    [[nodiscard]] std::uint64_t dropped_bytes() const;
    // LogWriter::retained_bytes().
    [[nodiscard]] std::uint64_t retained_bytes() const {
        return is_open() ? writer_->retained_bytes() : 0;
    }
    // What the log held when it was opened; none: it is not.
    [[nodiscard]] Recovery recovery() const { return is_open() ? writer_->recovery() : Recovery{}; }
    void set_writer(std::unique_ptr<LogWriter> writer);

    ContainerInfo& info() { return info_; }
    // Counters or state changed since container.json was saved.
    [[nodiscard]] bool dirty() const { return dirty_; }
    void set_dirty(bool dirty) { dirty_ = dirty; }
    // The clock was set back, which readers of the next entries must know. Asking takes it back.
    [[nodiscard]] bool clock_was_set_back() { return std::exchange(set_back_, false); }

 private:
    void note_end(const Entry& entry);
    void drop(const Entry& entry);

    ContainerInfo info_;
    std::unique_ptr<LogWriter> writer_;
    ClockSteps clock_;
    bool set_back_ = false;
    std::vector<Entry> missing_;  // gaps that the log is to have; one a source and run
    bool dirty_ = true;
};

}  // namespace twinlog
