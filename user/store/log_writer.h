// Writes one container's logs: the cached one, in Docker's local format, and a copy in each further
// format that was asked for.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/file_system.h"
#include "base/result.h"
#include "base/workers.h"
#include "format/log_format.h"
#include "store/housekeeper.h"
#include "store/log_file_writer.h"

namespace twinlog {

// Not thread-safe; one writer a container. Keeps a reference to the file system.
class LogWriter {
 public:
    // As Docker's log options; moby daemon/logger/local/config.go has the defaults.
    struct Options {
        std::int64_t max_size = 20LL * 1024 * 1024;            // bytes; 0 or less: never rotate
        int max_file = 5;                                      // with 1, a full file is thrown away
        std::uint64_t max_by_label = std::uint64_t{1} << 30U;  // limits_of()'s
        // Formats besides the local one; the limits hold for each. Live as long as the program.
        std::vector<const LogFormat*> copies = {};
        std::string pods = {};  // root of the CRI layout; made if it is not there
        bool compress = true;   // rotated files, where there is a housekeeper
        std::shared_ptr<Housekeeper> housekeeper = nullptr;
        // Labels that become attributes of each entry, as Docker's log option of that name; beside
        // the owner's own.
        std::vector<std::string> labels = {};
        // Who encodes and writes the copies, each format on a thread of its own; none: who appends.
        std::shared_ptr<Workers> workers = nullptr;
    };

    // The directory must be there. Cuts off what a crash left at the logs' ends, and adds to the
    // copies what it kept from them. The owner's labels twinlog.max-size and twinlog.max-file stand
    // above the options; a value that is none is passed over. That, and a copy that cannot be
    // written, is told by notes().
    static Result<std::unique_ptr<LogWriter>> open(FileSystem& files, const std::string& directory,
                                                   const Options& options,
                                                   const LogOwner& owner = {});

    // Takes the entry into memory. Writes only when more than buffer_limit waits there, or
    // batch_limit for the copies; what fails then is what the next flush() returns.
    void append(const Entry& entry);
    static constexpr std::size_t buffer_limit = LogFileWriter::buffer_limit;
    // Enough that waking the workers costs nothing beside what they do.
    static constexpr std::size_t batch_limit = std::size_t{512} << 10U;

    // There is something for flush() to do.
    [[nodiscard]] bool has_pending() const;
    // Of the cached log.
    [[nodiscard]] std::size_t pending_bytes() const { return cached_->pending_bytes(); }
    // Writes all that was appended, rotating as Docker does: before an entry, once the file has
    // max_size. If that fails, the entries that did not get into the file are dropped, the file
    // ends at a whole entry, and a gap entry with the exact number of bytes will stand in their
    // place as soon as writing works again, if the format has one. The error is returned once, not
    // again while the same keeps happening: a full disk would fill the daemon's own log, too.
    // dropped_bytes() tells. One log's failure does not touch the others.
    Status flush();

    // Bytes of streams that are missing in the cached log and of which no gap entry tells yet.
    [[nodiscard]] std::uint64_t dropped_bytes() const { return cached_->dropped_bytes(); }
    // Bytes of output behind which nothing older is left in any of the logs; 0: all is kept.
    [[nodiscard]] std::uint64_t retained_bytes() const;
    // Of the cached log.
    std::array<Dropped, 2> take_dropped() { return cached_->take_dropped(); }
    [[nodiscard]] const Recovery& recovery() const { return cached_->recovery(); }
    // What the user should know about the logs as they were opened; a line each.
    [[nodiscard]] const std::vector<std::string>& notes() const { return notes_; }

 private:
    LogWriter() = default;

    void open_copies(FileSystem& files, const std::string& directory, const Options& options,
                     const LogOwner& owner);
    Result<std::unique_ptr<LogFileWriter>> open_copy(FileSystem& files,
                                                     const std::string& directory,
                                                     const Options& options,
                                                     const LogFormat& format, const LogPlace& place,
                                                     const LogOwner& owner);

    void take(const Entry& entry);
    void feed(LogFileWriter& copy) const;
    void feed_copies(const std::function<void(std::size_t)>& then);

    std::unique_ptr<LogFileWriter> cached_;
    std::vector<std::unique_ptr<LogFileWriter>> copies_;
    std::string batch_;  // what the copies have not got yet, as the cached log has it
    std::shared_ptr<Workers> workers_;
    std::string attributes_;
    std::vector<std::string> notes_;
};

}  // namespace twinlog
