// The lines of one container's log that a filter lets through.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "base/result.h"
#include "read/line_filter.h"
#include "read/line_joiner.h"
#include "read/log_reader.h"

namespace twinlog {

class LineSource {
 public:
    using Step = LogReader::Step;  // entry: line() has a whole one

    // As LogReader::open(). If the filter looks at lines, options.tail counts those that match; if
    // it takes one stream only, that stream's. filter must outlive this object.
    static Result<std::unique_ptr<LineSource>> open(std::string directory, ReadOptions options,
                                                    const LineFilter& filter);

    // Never waits for others.
    Result<Step> next();
    // Borrow from this object until its next call.
    [[nodiscard]] const Line& line() const { return line_; }
    [[nodiscard]] const Damage& damage() const { return reader_.damage(); }

    // Whether a line was so long that its parts were taken for lines: LineJoiner::max_line.
    [[nodiscard]] bool has_cut() const { return joiner_.has_cut(); }

    // As LogReader's.
    [[nodiscard]] int watch_fd() const { return reader_.watch_fd(); }
    [[nodiscard]] std::uint32_t run() const { return reader_.run(); }
    void rest() { reader_.rest(); }
    Status resume();

    LineSource(const LineSource&) = delete;
    LineSource& operator=(const LineSource&) = delete;
    ~LineSource() = default;

 private:
    LineSource(LogReader reader, const LineFilter& filter, std::optional<std::uint64_t> tail)
        : reader_(std::move(reader)), filter_(filter), selector_(filter, tail) {}

    LogReader reader_;
    const LineFilter& filter_;
    LineJoiner joiner_;
    LineSelector selector_;
    std::span<const Line> joined_;  // not yet given to the selector
    Line line_;
    OwnedLine owned_;           // where line_ waited
    std::optional<Step> then_;  // what follows the lines that are waiting: idle or end
};

// What of the options such a source leaves to its reader.
ReadOptions reader_options(ReadOptions options, const LineFilter& filter);

}  // namespace twinlog
