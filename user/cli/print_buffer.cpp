#include "cli/print_buffer.h"

#include <unistd.h>

#include <cerrno>

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
    for (const Piece& piece : pieces()) {
        const int fd = piece.to == Source::stdout_ ? STDOUT_FILENO : STDERR_FILENO;
        std::string_view rest = piece.text;
        while (!rest.empty()) {
            const ssize_t written = ::write(fd, rest.data(), rest.size());
            if (written >= 0) {
                rest.remove_prefix(static_cast<std::size_t>(written));
            } else if (errno != EINTR) {
                return fail_errno(std::string(source_name(piece.to)), "cannot write");
            }
        }
    }
    clear();
    return {};
}

}  // namespace twinlog
