// One log file in Docker's local format, plain or compressed: read forward entry by entry, backward
// for its tail, by halves for a time.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "format/docker_local.h"
#include "format/entry.h"
#include "read/tail.h"
#include "store/gzip.h"

namespace twinlog {

// A place of a log where what is stored cannot be given back.
struct Damage {
    enum class Kind : std::uint8_t {
        skipped,  // bytes that are no entry; reading goes on behind them
        torn,     // the file ends inside an entry
        shrunk,   // the file became shorter than what was read of it; reading goes on at its start
        rotated,  // files were rotated away before they were read; how much they held is unknown
        compressed,  // the rest of a compressed file cannot be decompressed; position is in the
                     // compressed file, bytes what is behind it there
        missing,     // before the next entry, at a file's beginning: a file between them is gone
        cut,         // the log ends before its last entries
        expired,     // the same, and they are what retention removed
        irregular,   // something that is no regular file bears the name of one of the log's
    };
    Kind kind = Kind::skipped;
    std::string file;            // its name without the directory, when it was opened
    std::uint64_t position = 0;  // in the file
    std::uint64_t bytes = 0;
    Source source = Source::stdout_;  // of missing and cut: whose bytes
    bool at_most = false;             // of cut: rotation may have taken some of them before
    std::string limit = {};           // of expired: the option

    // Of the container's output, as far as it is known how many are missing.
    [[nodiscard]] std::uint64_t lost_bytes() const {
        return kind == Kind::missing || kind == Kind::cut ? bytes : 0;
    }
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

    // Opens name in the directory; a name that ends with .gz is decompressed. An error with code
    // ENOENT: it is not there. Anything that is not a regular file is refused.
    static Result<LogFile> open(int directory, const std::string& name,
                                const std::string& directory_path);

    // Moves on to the next entry or damage. Reads with pread only, so a file that shrinks meanwhile
    // does no harm.
    Result<Step> next(Ending ending);
    // After Step::entry; borrows from this object until its next call.
    [[nodiscard]] const Entry& entry() const { return entry_; }
    // The same as it is stored.
    [[nodiscard]] std::string_view entry_bytes() const {
        return {buffer_.data() + begin_ - entry_size_, entry_size_};
    }
    // After Step::damage.
    [[nodiscard]] const Damage& damage() const { return damage_; }

    // Goes to where the tail begins in this file, to its first entry if that is not known yet;
    // behind the last one if nothing is wanted. Reads backwards and no more than needed. next()
    // passes over what stands between the pieces of a line that begins before all others.
    Status seek_tail(Tail& tail);

    // Goes forward as far as it is sure that no entry before that place has this time or a later
    // one. Looks at a few places of the file; at none if it is compressed.
    Status seek_time(std::int64_t time_ns);
    // No entry is later, as far as its end tells; none: unknown, or there is no entry.
    Result<std::optional<std::int64_t>> newest_time();

    [[nodiscard]] const FileIdentity& identity() const { return identity_; }
    [[nodiscard]] bool is_compressed() const { return gzip_ != nullptr; }
    // What a compressed file says of itself.
    [[nodiscard]] const GzipFacts& facts() const { return facts_; }
    // Of the first entry; none: there is none yet, or it is not known.
    Result<std::optional<std::int64_t>> first_time();
    [[nodiscard]] const std::string& name() const { return name_; }
    // Where the next entry is looked for.
    [[nodiscard]] std::uint64_t position() const { return position_; }

 private:
    LogFile(UniqueFd fd, std::string name, std::string path, FileIdentity identity)
        : fd_(std::move(fd)), name_(std::move(name)), path_(std::move(path)), identity_(identity) {}

    [[nodiscard]] std::string_view unread() const {
        return {buffer_.data() + begin_, end_ - begin_};
    }
    Result<std::size_t> fill();
    Result<std::size_t> read_at(std::uint64_t position, char* to, std::size_t size);
    Result<std::uint64_t> size() const;
    bool take(Tail& tail, const Entry& entry, std::uint64_t from, std::size_t size);
    Result<std::optional<std::uint64_t>> find_tail(Tail& tail);
    Result<std::optional<std::uint64_t>> find_tail_forward(Tail& tail);
    // Before a tail: only pieces of lines that go on in it are wanted.
    struct Lead {
        std::uint64_t end = 0;  // in the file
        Tail::Lines lines;

        [[nodiscard]] bool has(const Entry& entry) const {
            return entry.partial &&
                   entry.partial->id == lines.at(static_cast<std::size_t>(entry.source));
        }
    };
    // What stands at some place of the file.
    struct Look {
        std::uint64_t position = 0;  // where an entry begins
        std::int64_t newest = 0;     // time of the latest of the entries there
    };
    Result<std::optional<Look>> look_at(std::uint64_t position);
    bool report_undecompressed();
    Result<bool> check_shrunk();
    void consume(std::size_t bytes);
    void seek(std::uint64_t position);
    bool skip_to_whole_entry();
    Step report_skipped(Damage::Kind kind);

    UniqueFd fd_;
    std::string name_;
    std::string path_;
    FileIdentity identity_;
    std::unique_ptr<GzipReader> gzip_;  // none: the file is not compressed
    GzipFacts facts_;
    bool damage_told_ = false;  // of what cannot be decompressed

    std::vector<char> buffer_;
    std::size_t begin_ = 0;  // of what is unread in buffer_
    std::size_t end_ = 0;
    std::uint64_t position_ = 0;  // in the file, of begin_
    std::optional<std::uint64_t>
        skipping_from_;  // set while looking for the end of a damaged place

    Lead lead_;

    docker_local::Effort effort_;
    Entry entry_;
    std::size_t entry_size_ = 0;  // in front of begin_
    Damage damage_;
};

}  // namespace twinlog
