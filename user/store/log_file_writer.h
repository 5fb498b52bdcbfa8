// Writes entries into one file of one format: batches, rotation, recovery after a crash.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file_system.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "format/log_format.h"
#include "store/clock_steps.h"
#include "store/housekeeper.h"
#include "store/rotation.h"

namespace twinlog {

// What opening a log found in it.
struct Recovery {
    std::uint64_t cut_bytes = 0;  // that a crash left at the end, or that stood behind damage
    bool gave_up_file = false;    // damaged further in: it was rotated away and a new one begun
    std::uint32_t last_run = 0;   // of the last entry, 0 if there is none
    // By Source: position behind the last byte of that run which the live file knows, 0 for none.
    std::array<std::uint64_t, 2> next_positions{};
    ClockSteps clock;  // of the live file, or of the newest that has entries

    // One line for the user; empty if all was well.
    [[nodiscard]] std::string describe() const;
};

// What could not be written of a stream.
struct Dropped {
    std::uint64_t bytes = 0;
    std::uint64_t places = 0;  // runs of entries, a gap each
};

// Not thread-safe; one writer a file. Keeps a reference to the file system.
class LogFileWriter {
 public:
    struct Options {
        std::string path;           // of the live file; its directory must be there
        std::int64_t max_size = 0;  // bytes; 0 or less: never rotate
        int max_file = 1;           // with 1, a full file is thrown away
        const LogFormat& format;
        std::optional<Source> only = std::nullopt;  // entries of the other stream are passed over
        std::shared_ptr<Housekeeper> housekeeper = nullptr;
        bool compress = true;  // rotated files, where there is a housekeeper
    };

    // Cuts off what a crash left at the log's end. Reads the whole file where the format needs it.
    static Result<std::unique_ptr<LogFileWriter>> open(FileSystem& files, Options options);

    // Takes the entry into memory. Writes only when more than buffer_limit waits there; what fails
    // then is what the next flush() returns.
    void append(const Entry& entry);
    // frame: the same entry, encoded in this log's format already.
    void append(const Entry& entry, std::string_view frame);
    static constexpr std::size_t buffer_limit = std::size_t{256} * 1024;
    // The same at once, however little waits.
    void write();

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
    // By Source: what was dropped since the last call. What is dropped as a gap was lost before.
    std::array<Dropped, 2> take_dropped() { return std::exchange(dropped_, {}); }
    [[nodiscard]] const Recovery& recovery() const { return recovery_; }

    // Entries at the end of the log, encoded in another format, some most_bytes of this one.
    Result<std::string> tail_as(EntryEncoder& encoder, std::optional<Source> only,
                                std::size_t most_bytes) const;
    // text: what this log should end with. Writes what a crash kept from it, that is what follows
    // the place in text where the log ends. False: that place is not in text.
    Result<bool> catch_up(std::string_view text);
    [[nodiscard]] const Options& options() const { return options_; }

 private:
    // Which bytes of a stream are lost if an entry is, and what its gap entry says.
    struct Loss {
        Source source = Source::stdout_;
        std::uint32_t run = 0;
        std::uint64_t position = 0;
        std::uint64_t bytes = 0;
        std::int64_t time_ns = 0;
        bool known = false;  // it stands for a gap: these bytes were lost before
    };
    // One encoded entry in the buffer.
    struct PendingFrame {
        std::size_t size = 0;
        Loss loss;
    };

    LogFileWriter(FileSystem& files, Options options);

    [[nodiscard]] bool is_full(std::uint64_t size) const;
    Status open_current();
    [[nodiscard]] Result<std::string> tail(std::size_t most_bytes) const;
    Status recover();
    Status recover_frames();
    Status recover_line();
    Status rotate();
    Status make_appendable();
    Status write_out(std::string_view bytes, std::size_t& written);
    Status write_pending();
    Status write_or_drop();
    void take(const Entry& entry, std::size_t size);
    void put_debts_first();
    void drop_pending();

    FileSystem& files_;
    Options options_;
    std::unique_ptr<EntryEncoder> encoder_;
    std::shared_ptr<Rotation> rotation_;
    UniqueFd file_;           // not valid: rotated away, and no new one could be made yet
    std::uint64_t size_ = 0;  // of the current file's whole entries
    bool is_new_ = false;     // nobody has opened it before
    bool torn_ = false;       // part of an entry stands behind them and could not be cut off
    std::string buffer_;
    std::deque<PendingFrame> frames_;  // of the buffer, in order
    std::array<Dropped, 2> dropped_{};
    std::vector<Loss> debts_;        // dropped and not told yet; one a source and run
    int reported_code_ = 0;          // of the error that flush() returned last; 0: all is well
    std::optional<Error> deferred_;  // of a write that append() had to do
    Recovery recovery_;
};

}  // namespace twinlog
