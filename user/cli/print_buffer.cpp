#include "cli/print_buffer.h"

#include <unistd.h>

#include <array>
#include <utility>

#include "base/file_system.h"

namespace twinlog {

void PrintBuffer::append(Source to, std::string_view text) {
    if (text.empty()) return;
    text_ += text;
    if (!spans_.empty() && spans_.back().to == to) {
        spans_.back().end = text_.size();
    } else {
        spans_.push_back({to, text_.size()});
    }
}

std::vector<PrintBuffer::Piece> PrintBuffer::pieces() const {
    std::vector<Piece> result;
    result.reserve(spans_.size());
    std::size_t begin = 0;
    for (const Span& span : spans_) {
        result.push_back({span.to, std::string_view(text_).substr(begin, span.end - begin)});
        begin = span.end;
    }
    return result;
}

void PrintBuffer::clear() {
    text_.clear();
    spans_.clear();
}

Status PrintBuffer::flush() {
    Status result;
    std::array<bool, 2> broken{};
    for (const Piece& piece : pieces()) {
        bool& is_broken = broken[static_cast<std::size_t>(piece.to)];
        if (is_broken) continue;
        const int fd = piece.to == Source::stdout_ ? STDOUT_FILENO : STDERR_FILENO;
        auto written = write_all(fd, piece.text, std::string(source_name(piece.to)));
        if (written) continue;
        is_broken = true;
        if (result) result = std::move(written);
    }
    clear();
    return result;
}

}  // namespace twinlog
