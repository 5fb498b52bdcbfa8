// What a run's log does not tell although its records were given back to the kernel: which kernel
// streams it has, how far they were recorded (rotation may have thrown those entries away), what
// was counted of them, and the beginning of a line. One file in the container's directory,
// `checkpoint.RUN`, from the run's start to its end. With it the next daemon goes on after a crash.
//
// For the line each stream has two places that are written in turn, each with a checksum; the
// position up to which it was recorded is written last, with the counters, and tells which of them
// is meant. So a crash between any two writes leaves the state before.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "format/entry.h"
#include "record.h"
#include "store/container_info.h"
#include "stream/line_splitter.h"

namespace twinlog {

// Not thread-safe.
class Checkpoint {
 public:
    struct Head {
        std::uint64_t instance = 0;  // Capture::instance: slots mean nothing with another one
        std::uint32_t run = 0;       // number of the run in the log
        tw_start start{};
    };
    // How far a stream was recorded, and what was counted of it then, over all of the container's
    // runs. Lies on the disk as it is here.
    struct Progress {
        std::uint64_t done = 0;
        std::uint64_t bytes = 0;
        std::uint64_t lost = 0;
        std::uint64_t gaps = 0;
        std::uint64_t skipped = 0;
        std::int64_t last_write_ns = 0;

        void apply_to(StreamCounters& counters) const;
    };

    // In place of an older one, which no crash can lose before the new one is whole. counters:
    // those of the runs before.
    static Result<Checkpoint> create(const std::string& directory, const Head& head,
                                     const std::array<StreamCounters, 2>& counters);
    // All that are in the directory; what can't be read is an error in its place. Removes what a
    // daemon left that was killed in create().
    static std::vector<Result<Checkpoint>> load_all(const std::string& directory);
    // Of a container that ended while no daemon looked, whoever made them.
    static Status remove_all(const std::string& directory);
    // The run is over.
    Status remove();

    [[nodiscard]] const Head& head() const { return head_; }
    // How far the stream was recorded when that was last saved.
    [[nodiscard]] const Progress& progress(Source source) const {
        return progress_[static_cast<std::size_t>(source)];
    }
    // The line that had begun then; the default value if none had.
    [[nodiscard]] const LineSplitter::State& begun(Source source) const {
        return places_[static_cast<std::size_t>(source)].saved;
    }
    struct Stream {
        Source source;
        std::uint64_t done;  // everything before it is in the log or in the splitter
        const StreamCounters& counters;
        const LineSplitter& splitter;
    };
    // No kill comes in between two streams: what of both was in the log is told of both.
    Status save(std::span<const Stream> streams);

 private:
    struct Place {
        std::uint64_t sequence = 0;
        LineSplitter::State saved;
    };

    Checkpoint(std::string path, UniqueFd fd, const Head& head)
        : path_(std::move(path)), fd_(std::move(fd)), head_(head) {}
    static Result<Checkpoint> load(const std::string& path);
    Status load_place(Source source);
    Status save_line(Source source, const LineSplitter& splitter);

    std::string path_;
    UniqueFd fd_;
    Head head_;
    std::array<Progress, 2> progress_{};
    std::array<Place, 2> places_;
};

}  // namespace twinlog
