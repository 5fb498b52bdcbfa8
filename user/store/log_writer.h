// Writes one container's cached log: batches, rotation, recovery after a crash.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/file_system.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "format/entry.h"

namespace twinlog {

// What opening a log found in it.
struct Recovery {
    std::uint64_t cut_bytes = 0;  // that a crash left at the end, or that stood behind damage
    bool gave_up_file = false;    // damaged further in: it was rotated away and a new one begun
    std::uint32_t last_run = 0;   // of the last entry, 0 if there is none
    // By Source: position behind the last byte of that run which the live file knows, 0 for none.
    std::array<std::uint64_t, 2> next_positions{};

    // One line for the user; empty if all was well.
    [[nodiscard]] std::string describe() const;
};

// Not thread-safe; one writer a directory. Keeps a reference to the file system.
class LogWriter {
 public:
    // As Docker's log options; moby daemon/logger/local/config.go has the defaults.
    struct Options {
        std::int64_t max_size = 20LL * 1024 * 1024;  // bytes; 0 or less: never rotate
        int max_file = 5;                            // with 1, a full file is thrown away
    };

    // The directory must be there. Cuts off what a crash left at the log's end.
    static Result<std::unique_ptr<LogWriter>> open(FileSystem& files, std::string directory,
                                                   const Options& options);

    // Takes the entry into memory. Writes only when more than buffer_limit waits there; what fails
    // then is what the next flush() returns.
    void append(const Entry& entry);
    static constexpr std::size_t buffer_limit = std::size_t{256} * 1024;

    // There is something for flush() to do.
    [[nodiscard]] bool has_pending() const {
        return !frames_.empty() || !debts_.empty() || deferred_.has_value();
    }
    [[nodiscard]] std::size_t pending_bytes() const { return buffer_.size(); }
    // Writes all that was appended, rotating as Docker does: before an entry, once the file has
    // max_size. If that fails, the entries that did not get into the file are dropped, the file
    // ends at a whole entry, and a gap entry with the exact number of bytes will stand in their
    // place as soon as writing works again. The error is returned once, not again while the same
    // keeps happening: a full disk would fill the daemon's own log, too. dropped_bytes() tells.
    Status flush();

    // Bytes of streams that were dropped and of which no gap entry tells yet.
    [[nodiscard]] std::uint64_t dropped_bytes() const;
    [[nodiscard]] const Recovery& recovery() const { return recovery_; }

 private:
    // Which bytes of a stream are lost if an entry is, and what its gap entry says.
    struct Loss {
        Source source = Source::stdout_;
        std::uint32_t run = 0;
        std::uint64_t position = 0;
        std::uint64_t bytes = 0;
        std::int64_t time_ns = 0;
    };
    // One encoded entry in the buffer.
    struct PendingFrame {
        std::size_t size = 0;
        Loss loss;
    };

    LogWriter(FileSystem& files, std::string directory, const Options& options)
        : files_(files), directory_(std::move(directory)), options_(options) {}

    [[nodiscard]] std::string path(int number) const;
    [[nodiscard]] bool is_full(std::uint64_t size) const;
    Status open_current();
    Status recover();
    Status rotate();
    Status make_appendable();
    Status write_out(std::string_view bytes, std::size_t& written);
    Status write_pending();
    Status write_or_drop();
    void put_debts_first();
    void drop_pending();

    FileSystem& files_;
    std::string directory_;
    Options options_;
    UniqueFd file_;           // not valid: rotated away, and no new one could be made yet
    std::uint64_t size_ = 0;  // of the current file's whole entries
    bool torn_ = false;       // part of an entry stands behind them and could not be cut off
    std::string buffer_;
    std::deque<PendingFrame> frames_;  // of the buffer, in order
    std::vector<Loss> debts_;          // dropped and not told yet; one a source and run
    int reported_code_ = 0;            // of the error that flush() returned last; 0: all is well
    std::optional<Error> deferred_;    // of a write that append() had to do
    Recovery recovery_;
};

}  // namespace twinlog
