// Puts the pieces of cut lines together.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "format/entry.h"
#include "read/line.h"

namespace twinlog {

class LineJoiner {
 public:
    // A line that is longer comes in parts, so that what a container never ends takes no more
    // memory than this a stream.
    static constexpr std::size_t max_line = std::size_t{16} << 20U;

    // What is complete with this entry of a container's log, none to two lines: a line that does
    // not go on ends with the next one of its stream, or at a gap. A whole line is passed on
    // without a copy. Borrows from entry and from this object until its next call.
    std::span<const Line> add(const Entry& entry);
    // Whether a line was so long.
    [[nodiscard]] bool has_cut() const { return has_cut_; }
    // What is still open, at the end of the log.
    std::span<const Line> finish();

 private:
    struct Open {
        Line line;
        bool open = false;
        std::string text;
        std::string id;
        std::string comm;
        std::string attributes;
    };

    void begin(Open& open, const Entry& entry);
    void extend(Open& open, const Entry& entry);
    void close(Open& open);

    std::array<Open, 2> open_;    // by Source
    std::array<Open, 2> closed_;  // what lines_ borrow from
    std::array<Line, 2> lines_;
    std::size_t count_ = 0;
    bool has_cut_ = false;
};

}  // namespace twinlog
