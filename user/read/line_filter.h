// Which lines of a log a user wants to see.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "format/entry.h"
#include "read/line.h"
#include "read/pattern.h"

namespace twinlog {

// A process by the name or one of the ids that an entry has of its writer.
class WriterFilter {
 public:
    // A number is an id, and a name all the same; anything else is a name.
    explicit WriterFilter(std::string_view wanted);
    [[nodiscard]] bool matches(const Writer& writer) const;

 private:
    std::string comm_;  // as long as the kernel keeps it
    std::optional<std::uint32_t> pid_;
};

struct LineFilter {
    std::array<bool, 2> streams = {true, true};  // by Source
    std::optional<WriterFilter> writer = std::nullopt;
    std::optional<Pattern> pattern = std::nullopt;
    bool invert = false;        // lines that do not match the pattern
    std::uint32_t context = 0;  // how many lines around each one that matches

    [[nodiscard]] bool shows(Source source) const {
        return streams[static_cast<std::size_t>(source)];
    }
    // Whether there is more to look at than the stream.
    [[nodiscard]] bool looks_at_lines() const { return writer.has_value() || pattern.has_value(); }
    // The stream apart. A carriage return at the line's end (terminals have it) is none of it.
    [[nodiscard]] bool matches(const Entry& entry) const;
};

// The lines of one container's log that a filter lets through, with those around them. A gap always
// passes: what is missing may have matched. Nothing behind a gap is a neighbour of what is before.
class LineSelector {
 public:
    // filter must outlive this object. tail: of the lines before release() only so many of the last
    // that match are shown.
    explicit LineSelector(const LineFilter& filter,
                          std::optional<std::uint64_t> tail = std::nullopt)
        : filter_(&filter), tail_(tail) {}

    // Takes the next line of the streams that are shown. True: it is to be shown as it is. False:
    // pop() gives what is to be shown, if anything.
    bool take(Line& line);
    // The next line that is to be shown, before others are taken.
    bool pop(OwnedLine& line);
    // The end of what is there already.
    void release();
    [[nodiscard]] bool is_released() const { return !tail_.has_value(); }

 private:
    void show(OwnedLine line);
    void drop_first_match();

    const LineFilter* filter_;
    std::optional<std::uint64_t> tail_;
    std::deque<OwnedLine> before_;  // the last lines that were not shown, as many as the context
    std::deque<OwnedLine> ready_;   // with tail_: kept, and not to be popped yet
    std::uint64_t matches_ = 0;     // in ready_, with tail_
    std::uint32_t after_ = 0;       // how many of the next lines are context of the last match
    bool shown_ = false;            // anything
    bool skipped_ = false;          // a line since the last one that was shown
};

}  // namespace twinlog
