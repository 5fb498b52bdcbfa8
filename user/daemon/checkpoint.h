// What a run's log does not hold yet although its records were given back to the kernel: which
// kernel streams it has, and the beginning of a line. One file in the container's directory,
// `checkpoint`, from the run's start to its end. With it the next daemon goes on after a crash.
//
// Each stream has two places that are written in turn, each with a checksum: a write that a crash
// cuts short leaves the one before.
#pragma once

#include <array>
#include <cstdint>
#include <string>

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
    // Fails with ENOENT where there is none.
    static Result<Checkpoint> load(const std::string& directory);
    // The run is over. Does nothing if the container's next run has put its own in the place.
    Status remove();

    [[nodiscard]] const Head& head() const { return head_; }
    // As last saved; the default value if never.
    [[nodiscard]] const LineSplitter::State& state(Source source) const {
        return places_[static_cast<std::size_t>(source)].saved;
    }
    // Costs nothing where nothing is worth saving: whole lines are in the log.
    Status save(Source source, const LineSplitter& splitter);

 private:
    struct Place {
        std::uint64_t sequence = 0;
        LineSplitter::State saved;
    };

    Checkpoint(std::string path, UniqueFd fd, const Head& head)
        : path_(std::move(path)), fd_(std::move(fd)), head_(head) {}
    Status load_place(Source source);

    std::string path_;
    UniqueFd fd_;
    Head head_;
    std::array<Place, 2> places_;
};

}  // namespace twinlog
