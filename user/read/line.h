// A line as a person sees it: the pieces that it was stored in put together.
#pragma once

#include <cstdint>
#include <string>

#include "format/entry.h"

namespace twinlog {

// Borrows its text as Entry does.
struct Line {
    // Time, run, position and attributes of the first piece, the writer of the last one. partial is
    // set where part of the line is missing: ordinal > 1, it begins inside; last unset, it has no
    // newline. An entry that stands for a gap is a line of its own.
    Entry entry;
    std::uint32_t pieces = 1;
    bool context = false;      // shown for a neighbour that matches
    bool after_break = false;  // lines before it were left out, behind one that is shown
};

inline bool has_newline(const Entry& entry) {
    return !entry.partial || entry.partial->last;
}

// A line with its own text.
class OwnedLine {
 public:
    OwnedLine() = default;
    explicit OwnedLine(const Line& line);

    // Borrows from this object until its next change or move.
    [[nodiscard]] Line view() const;
    [[nodiscard]] bool is_gap() const { return line_.entry.gap.has_value(); }
    [[nodiscard]] bool is_match() const { return !line_.context && !is_gap(); }
    void set_after_break(bool is) { line_.after_break = is; }

 private:
    Line line_;
    std::string text_;
    std::string id_;
    std::string comm_;
    std::string attributes_;
};

}  // namespace twinlog
