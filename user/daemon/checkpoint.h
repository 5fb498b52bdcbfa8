// What a run's log does not tell although its records were given back to the kernel: which kernel
// streams it has, how far they were recorded (rotation may have thrown those entries away), and the
// beginning of a line. One file in the container's directory, `checkpoint.RUN`, from the run's
// start to its end. With it the next daemon goes on after a crash.
//
// For the line each stream has two places that are written in turn, each with a checksum; the
// position up to which it was recorded is written last and tells which of them is meant. So a crash
// between any two writes leaves the state before.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "format/entry.h"
#include "record.h"
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

    // In place of an older one, which no crash can lose before the new one is whole.
    static Result<Checkpoint> create(const std::string& directory, const Head& head);
    // All that are in the directory. Those that can't be read are passed over and told.
    static std::vector<Result<Checkpoint>> load_all(const std::string& directory);
    // The run is over.
    Status remove();

    [[nodiscard]] const Head& head() const { return head_; }
    // How far the stream was recorded when that was last saved.
    [[nodiscard]] std::uint64_t done(Source source) const {
        return done_[static_cast<std::size_t>(source)];
    }
    // The line that had begun then; the default value if none had.
    [[nodiscard]] const LineSplitter::State& begun(Source source) const {
        return places_[static_cast<std::size_t>(source)].saved;
    }
    // done: everything before it is in the log or in the splitter.
    Status save(Source source, std::uint64_t done, const LineSplitter& splitter);

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
    std::array<std::uint64_t, 2> done_{};
    std::array<Place, 2> places_;
};

}  // namespace twinlog
