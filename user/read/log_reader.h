// Reads a container's cached log over all its files, oldest first, and follows it across rotation.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"
#include "format/entry.h"
#include "read/directory_watch.h"
#include "read/log_file.h"
#include "read/log_progress.h"
#include "read/tail.h"

namespace twinlog {

struct ReadOptions {
    std::optional<std::int64_t> since_ns =
        std::nullopt;  // Unix time; earlier entries are passed over
    std::optional<std::int64_t> until_ns =
        std::nullopt;  // reading ends for good at the first later entry
    // Begin at so many lines before the end, or before until_ns: both streams together, the pieces
    // of a cut line as one, before since_ns; entries that stand for a gap are not counted.
    std::optional<std::uint64_t> tail = std::nullopt;
    std::optional<Source> tail_of = std::nullopt;  // tail counts this stream's lines only
    bool follow = false;                           // wait for more until the container ends
    // As dockerd reads: each entry counts for tail, pieces, gaps and those behind until_ns, too,
    // and what is damaged ends its file without a word.
    bool docker_exact = false;
    // As dockerd from version 23 on: nothing is filtered once an entry reached since_ns.
    bool since_once = false;
};

// Needs no daemon and no lock: the files may grow, rotate and vanish while they are read. All files
// that are there at the beginning are held open, so that rotation takes nothing from a reader.
class LogReader {
 public:
    enum class Step : std::uint8_t {
        entry,   // entry() has it
        damage,  // damage() says what was skipped
        idle,    // following, and nothing more is there: flush, then wait()
        end,     // for good
    };

    // directory is a container's. It is an error if it cannot be read; a missing log is an empty
    // one.
    static Result<LogReader> open(std::string directory, ReadOptions options);

    // Never waits for others.
    Result<Step> next();
    // Borrows from this object until its next call.
    [[nodiscard]] const Entry& entry() const { return files_.front().entry(); }
    [[nodiscard]] const Damage& damage() const { return damage_; }

    // After Step::idle, only when following: blocks until something changed. Wake::stop when
    // stop_fd became readable or output_fd lost its reader; -1 stands for none.
    Result<DirectoryWatch::Wake> wait(int stop_fd = -1, int output_fd = -1) const;
    // After Step::end: goes on behind what was read, following, if the container started again.
    Status resume();
    // After Step::end: gives back what only following needs, until resume().
    void rest();
    // Which run of the container is read; 0: unknown.
    [[nodiscard]] std::uint32_t run() const { return run_.value_or(0); }
    // Becomes readable when wait() would return; -1 when not following.
    [[nodiscard]] int watch_fd() const { return watch_ ? watch_->fd() : -1; }

 private:
    LogReader(std::string directory, ReadOptions options)
        : directory_(std::move(directory)), options_(options) {}

    // Why a stream's next entry may not be the one that follows.
    enum class Check : std::uint8_t {
        none,
        new_file,  // one between may be gone
        rotated,   // files were rotated away from a slow follower
    };

    Status load_info();
    Status look_around();
    Status add_new_files();
    Status seek_tail();
    Result<bool> is_later(LogFile& file, const Tail& tail) const;
    Status seek_since();
    [[nodiscard]] LogFile::Ending ending() const;
    Result<std::optional<Step>> at_end();
    Step finish();
    bool missed_before(const Entry& entry);
    void look_at_end();
    Result<std::optional<Step>> finish_at_end();
    void pop_file();

    std::string directory_;
    ReadOptions options_;
    UniqueFd directory_fd_;
    std::optional<DirectoryWatch> watch_;
    DirectoryWatch::Changes changes_;

    std::deque<LogFile> files_;  // what is still to be read, oldest first
    // The file after which others may have been deleted before they could be opened.
    std::optional<FileIdentity> broken_after_;
    LogProgress progress_;
    std::array<Check, 2> checks_{};     // by Source
    bool from_start_ = true;            // nothing of the files was passed over
    LogEnds ends_;                      // of a container that has ended
    std::deque<Damage> owed_;           // to be told before anything else
    std::set<std::string> irregular_;   // names that were told
    bool end_seen_ = false;             // the end was looked at for what is missing there
    bool held_ = false;                 // entry() waits behind a damage that was told first
    std::optional<std::uint32_t> run_;  // of the container when reading began
    bool live_ = false;                 // somebody writes to the newest file
    bool following_ = false;
    std::int64_t set_back_ns_ = 0;  // see ContainerInfo
    bool stalled_ = false;          // the last look at the newest file found no entry
    bool done_ = false;
    bool since_reached_ = false;
    std::uint32_t since_look_ = 0;  // entries given out since the directory was looked at
    Damage damage_;
};

}  // namespace twinlog
