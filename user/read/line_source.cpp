#include "read/line_source.h"

namespace twinlog {

ReadOptions reader_options(ReadOptions options, const LineFilter& filter) {
    // None is none, whatever would match.
    if (filter.looks_at_lines() && options.tail != 0U) options.tail.reset();
    if (!filter.shows(Source::stdout_)) options.tail_of = Source::stderr_;
    if (!filter.shows(Source::stderr_)) options.tail_of = Source::stdout_;
    return options;
}

Result<std::unique_ptr<LineSource>> LineSource::open(std::string directory, ReadOptions options,
                                                     const LineFilter& filter) {
    std::optional<std::uint64_t> tail;
    if (filter.looks_at_lines() && options.tail != 0U) tail = options.tail;
    auto reader = LogReader::open(std::move(directory), reader_options(options, filter));
    if (!reader) return fail(std::move(reader).error());
    return std::unique_ptr<LineSource>(new LineSource(std::move(*reader), filter, tail));
}

Result<LineSource::Step> LineSource::next() {
    for (;;) {
        if (selector_.pop(owned_)) {
            line_ = owned_.view();
            return Step::entry;
        }
        if (!joined_.empty()) {
            line_ = joined_.front();
            joined_ = joined_.subspan(1);
            if (selector_.take(line_)) return Step::entry;
            continue;
        }
        if (then_) {
            if (selector_.is_released()) return *std::exchange(then_, std::nullopt);
            selector_.release();
            continue;
        }
        const auto step = reader_.next();
        if (!step) return fail(step.error());
        switch (*step) {
            case Step::entry:
                if (filter_.shows(reader_.entry().source)) joined_ = joiner_.add(reader_.entry());
                break;
            case Step::damage:
                return Step::damage;
            case Step::idle:
                then_ = Step::idle;
                break;
            case Step::end:
                joined_ = joiner_.finish();
                then_ = Step::end;
                break;
        }
    }
}

Status LineSource::resume() {
    then_.reset();
    return reader_.resume();
}

}  // namespace twinlog
