// Merges the logs of several containers by time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <utility>
#include <vector>

#include "base/result.h"
#include "read/line_source.h"

namespace twinlog {

// Each log keeps its own order; among their next lines the earliest comes first. A log that has
// nothing more at present holds up no other.
class LogMerger {
 public:
    enum class Step : std::uint8_t {
        line,     // line() of source()
        damage,   // damage() of source()
        ended,    // source() has no more; it may be resumed
        failure,  // error() of source(), which is not read any more
        idle,     // following, and nothing more is there: flush, then wait()
        end,      // all have ended
    };
    enum class Wake : std::uint8_t {
        changed,  // some log
        watched,  // the caller's descriptor
        stop,     // standard output has no reader any more
    };

    // Its number: one that is free again, else the next of 0, 1, 2 …
    std::size_t add(std::unique_ptr<LineSource> source);
    // Of a source that ended: it started again.
    Status resume(std::size_t source);
    // Frees a source that ended, for good.
    void drop(std::size_t source) {
        sources_[source].reset();
        free_.push_back(source);
    }

    // Never waits for others.
    Step next();
    [[nodiscard]] std::size_t source() const { return source_; }
    // Borrow from this object until its next call.
    [[nodiscard]] const Line& line() const { return sources_[source_]->line(); }
    [[nodiscard]] const Damage& damage() const { return sources_[source_]->damage(); }
    [[nodiscard]] const Error& error() const { return error_; }
    // As LineSource's.
    [[nodiscard]] bool has_cut(std::size_t source) const { return sources_[source]->has_cut(); }
    [[nodiscard]] std::uint32_t run(std::size_t source) const { return sources_[source]->run(); }

    // After idle or end: blocks until there is something to do. -1: no descriptor to watch.
    Result<Wake> wait(int watched_fd, int output_fd, int watched_too_fd = -1);

 private:
    using Head = std::pair<std::int64_t, std::size_t>;  // time of a source's next line, its number

    std::vector<std::unique_ptr<LineSource>> sources_;
    std::vector<std::size_t> free_;   // numbers that nobody has any more
    std::vector<std::size_t> asked_;  // to be asked for their next line
    std::vector<std::size_t> idle_;
    std::priority_queue<Head, std::vector<Head>, std::greater<>> heads_;
    std::size_t source_ = 0;
    bool given_ = false;            // source_'s line was given out
    std::uint32_t since_look_ = 0;  // lines given out since idle logs were looked at
    Error error_;
};

}  // namespace twinlog
