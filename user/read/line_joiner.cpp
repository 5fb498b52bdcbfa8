#include "read/line_joiner.h"

#include <utility>

namespace twinlog {

OwnedLine::OwnedLine(const Line& line)
    : line_(line), text_(line.entry.line), attributes_(line.entry.attributes) {
    if (line.entry.partial) id_ = line.entry.partial->id;
    if (line.entry.writer) comm_ = line.entry.writer->comm;
}

Line OwnedLine::view() const {
    Line line = line_;
    line.entry.line = text_;
    line.entry.attributes = attributes_;
    if (line.entry.partial) line.entry.partial->id = id_;
    if (line.entry.writer) line.entry.writer->comm = comm_;
    return line;
}

void LineJoiner::begin(Open& open, const Entry& entry) {
    open.open = true;
    open.line = {};
    open.line.entry = entry;
    open.text = entry.line;
    open.id = entry.partial->id;
    open.attributes = entry.attributes;
    if (entry.writer) open.comm = entry.writer->comm;
}

void LineJoiner::extend(Open& open, const Entry& entry) {
    open.text += entry.line;
    ++open.line.pieces;
    open.line.entry.partial->last = entry.partial->last;
    if (entry.writer) {
        open.line.entry.writer = entry.writer;
        open.comm = entry.writer->comm;
    }
}

void LineJoiner::close(Open& open) {
    Open& closed = closed_.at(count_);
    std::swap(open, closed);
    open.open = false;
    Entry& entry = closed.line.entry;
    entry.line = closed.text;
    entry.attributes = closed.attributes;
    entry.partial->id = closed.id;
    if (entry.writer) entry.writer->comm = closed.comm;
    if (entry.partial->last && entry.partial->ordinal <= 1) entry.partial.reset();
    lines_.at(count_++) = closed.line;
}

std::span<const Line> LineJoiner::add(const Entry& entry) {
    count_ = 0;
    Open& open = open_.at(static_cast<std::size_t>(entry.source));
    const bool goes_on = open.open && !entry.gap && entry.partial && entry.partial->ordinal > 1 &&
                         entry.partial->id == open.id;
    if (open.open && !goes_on) close(open);
    if (entry.gap || !entry.partial) {
        Line& line = lines_.at(count_++);
        line = {};
        line.entry = entry;
        return {lines_.data(), count_};
    }
    if (goes_on) {
        extend(open, entry);
    } else {
        begin(open, entry);
    }
    const bool too_long = !entry.partial->last && open.text.size() >= max_line;
    has_cut_ = has_cut_ || too_long;
    if (entry.partial->last || too_long) close(open);
    return {lines_.data(), count_};
}

std::span<const Line> LineJoiner::finish() {
    count_ = 0;
    for (Open& open : open_) {
        if (open.open) close(open);
    }
    return {lines_.data(), count_};
}

}  // namespace twinlog
