// Formatting of `twinlog logs`.
#include "cli/logs_printer.h"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/byte_size.h"
#include "base/docker_time.h"
#include "base/escape.h"

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

LogsPrinter::LogsPrinter(PrintOptions options)
    : options_(std::move(options)), message_prefix_("twinlog: ") {
    if (!options_.subject.empty()) {
        message_prefix_ += escape_for_terminal(options_.subject) + ": ";
    }
}

void LogsPrinter::append_prefix(const Entry& entry) {
    scratch_.clear();
    if (options_.timestamps) {
        append_docker_time(entry.time_ns, scratch_);
        scratch_ += ' ';
    }
    if (options_.details) scratch_ += ' ';
    if (options_.writer) {
        if (entry.writer) {
            scratch_ += escape_for_terminal(entry.writer->comm);
            scratch_ += '[' + std::to_string(entry.writer->pid) + '/' +
                        std::to_string(entry.writer->tid) + "] ";
        } else {
            scratch_ += "-[-] ";
        }
    }
    output_.append(entry.source, scratch_);
}

void LogsPrinter::print(const Entry& entry) {
    if (entry.gap) {
        const std::uint64_t bytes = entry.gap->bytes;
        print_message(std::string(source_name(entry.source)) + ": " + format_grouped(bytes) +
                      (bytes == 1 ? " byte" : " bytes") +
                      " lost here: " + std::string(gap_reason_text(entry.gap->reason)));
        return;
    }
    Line& line = line_of(entry.source);
    const bool goes_on = entry.partial && entry.partial->ordinal > 1 && !line.partial_id.empty() &&
                         line.partial_id == entry.partial->id;
    if (!goes_on) append_prefix(entry);
    output_.append(entry.source, entry.line);
    if (!entry.partial || entry.partial->last) {
        output_.append(entry.source, "\n");
        line.open = false;
        line.partial_id.clear();
        return;
    }
    line.open = line.open || !entry.line.empty();
    if (!goes_on) line.partial_id = entry.partial->id;
}

void LogsPrinter::print(const Damage& damage) {
    print_message(escape_for_terminal(damage.message()));
}

void LogsPrinter::print_message(const std::string& message) {
    Line& line = line_of(Source::stderr_);
    if (line.open) output_.append(Source::stderr_, "\n");
    line.open = false;
    output_.append(Source::stderr_, message_prefix_ + message + '\n');
}

void LogsPrinter::print_raw(Source source, std::string_view bytes) {
    if (bytes.empty()) return;
    output_.append(source, bytes);
    line_of(source).open = bytes.back() != '\n';
}

Status LogsPrinter::flush() {
    for (const PrintBuffer::Piece& piece : output_.pieces()) {
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
    output_.clear();
    return {};
}

}  // namespace twinlog
