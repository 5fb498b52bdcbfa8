// One log file in Docker's local format, read forward entry by entry and backward for its tail.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "format/entry.h"

namespace twinlog {

// A place of a log where what is stored cannot be given back.
struct Damage {
    enum class Kind : std::uint8_t {
        skipped,  // bytes that are no entry; reading goes on behind them
        torn,     // the file ends inside an entry
        shrunk,   // the file became shorter than what was read of it; reading goes on at its start
        rotated,  // files were rotated away before they were read; how much they held is unknown
    };
    Kind kind = Kind::skipped;
    std::string file;            // its name without the directory, when it was opened
    std::uint64_t position = 0;  // in the file
    std::uint64_t bytes = 0;

    // One line for the user, without newline.
    [[nodiscard]] std::string message() const;

    bool operator==(const Damage&) const = default;
};

// What names a file as long as somebody holds it open.
struct FileIdentity {
    dev_t device = 0;
    ino_t inode = 0;

    bool operator==(const FileIdentity&) const = default;
};

class LogFile {
 public:
    enum class Step : std::uint8_t { entry, damage, at_end };
    // What an unfinished entry at the end of the file means.
    enum class Ending : std::uint8_t {
        growing,    // it is being written: at_end, the next call looks again
        uncertain,  // as growing, unless whole entries follow it: then it is damage
        complete,   // nobody writes any more: damage
    };

    // Opens name in the directory. An error with code ENOENT: it is not there. Anything that is not
    // a regular file is refused.
    static Result<LogFile> open(int directory, const std::string& name,
                                const std::string& directory_path);

    // Moves on to the next entry or damage. Reads with pread only, so a file that shrinks meanwhile
    // does no harm.
    Result<Step> next(Ending ending);
    // After Step::entry; borrows from this object until its next call.
    [[nodiscard]] const Entry& entry() const { return entry_; }
    // After Step::damage.
    [[nodiscard]] const Damage& damage() const { return damage_; }

    // Goes to the wanted-th entry from the end, to the first if there are fewer; behind the last
    // one for 0. Entries that stand for a gap do not count. Reads backwards and no more than
    // needed. Returns how many it found.
    Result<std::uint64_t> seek_tail(std::uint64_t wanted);

    [[nodiscard]] const FileIdentity& identity() const { return identity_; }

 private:
    LogFile(UniqueFd fd, std::string name, std::string path, FileIdentity identity)
        : fd_(std::move(fd)), name_(std::move(name)), path_(std::move(path)), identity_(identity) {}

    [[nodiscard]] std::string_view unread() const {
        return {buffer_.data() + begin_, end_ - begin_};
    }
    Result<std::size_t> fill();
    Result<std::size_t> read_at(std::uint64_t position, char* to, std::size_t size) const;
    Result<std::uint64_t> size() const;
    Result<bool> check_shrunk();
    void consume(std::size_t bytes);
    void seek(std::uint64_t position);
    bool skip_to_whole_entry();
    Step report_skipped(Damage::Kind kind);

    UniqueFd fd_;
    std::string name_;
    std::string path_;
    FileIdentity identity_;

    std::vector<char> buffer_;
    std::size_t begin_ = 0;  // of what is unread in buffer_
    std::size_t end_ = 0;
    std::uint64_t position_ = 0;  // in the file, of begin_
    std::optional<std::uint64_t>
        skipping_from_;  // set while looking for the end of a damaged place

    Entry entry_;
    Damage damage_;
};

}  // namespace twinlog
