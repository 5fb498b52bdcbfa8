// Tells the pieces of cut lines in formats that mark no more than "the line goes on".
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "format/entry.h"

namespace twinlog {

class Pieces {
 public:
    // The partial metadata of the next piece of a stream; none for a whole line. The id is made up,
    // the same for the same file. Borrows from this object until a line of that stream begins.
    std::optional<Partial> next(Source source, bool ends_line, std::int64_t time_ns);

 private:
    struct Line {
        std::int32_t ordinal = 0;  // of the last piece; 0: no line is open
        std::string id;
    };

    std::array<Line, 2> lines_;
    std::uint64_t count_ = 0;
};

}  // namespace twinlog
