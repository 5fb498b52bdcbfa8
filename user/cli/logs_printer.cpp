// Formatting of `twinlog logs`.
#include "cli/logs_printer.h"

#include <utility>

#include "base/byte_size.h"
#include "base/docker_time.h"
#include "base/escape.h"
#include "format/attributes.h"
#include "read/line_joiner.h"

namespace twinlog {

namespace {

// As Go's url.QueryEscape.
void append_query_escaped(std::string_view text, std::string& out) {
    constexpr std::string_view hex = "0123456789ABCDEF";
    for (const char c : text) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (letter || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == '~') {
            out += c;
        } else if (c == ' ') {
            out += '+';
        } else {
            const auto byte = static_cast<unsigned char>(c);
            out += '%';
            out += hex[byte >> 4U];
            out += hex[byte & 0xfU];
        }
    }
}

void append_attributes(std::string_view packed, std::string& out) {
    bool first = true;
    for (const auto& [key, value] : unpack_attributes(packed)) {
        if (!std::exchange(first, false)) out += ',';
        append_query_escaped(key, out);
        out += '=';
        append_query_escaped(value, out);
    }
}

}  // namespace

std::string message_prefix_of(std::string_view subject) {
    std::string prefix = "twinlog: ";
    if (!subject.empty()) prefix += escape_for_terminal(subject) + ": ";
    return prefix;
}

Error cut_line_notice(std::string subject) {
    return {std::move(subject),
            "a line is longer than " + std::to_string(LineJoiner::max_line >> 20U) +
                " MiB: each part of that size is taken for a line",
            0,
            {}};
}

std::string gap_message(const Entry& entry) {
    const std::uint64_t bytes = entry.gap->bytes;
    return std::string(source_name(entry.source)) + ": " + format_grouped(bytes) +
           (bytes == 1 ? " byte" : " bytes") +
           " lost here: " + std::string(gap_reason_text(entry.gap->reason));
}

LogsPrinter::LogsPrinter(PrintOptions options) : options_(std::move(options)) {
    owner_.message_prefix = message_prefix_of(options_.subject);
}

void LogsPrinter::append_prefix(const Entry& entry, const LineOwner& owner) {
    scratch_ = owner.line_prefix[static_cast<std::size_t>(entry.source)];
    if (options_.timestamps) {
        append_docker_time(entry.time_ns, scratch_);
        scratch_ += ' ';
    }
    if (options_.details) {
        if (!entry.attributes.empty()) append_attributes(entry.attributes, scratch_);
        scratch_ += ' ';
    }
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

void LogsPrinter::append_text(const Entry& entry, bool context) {
    if (options_.style[static_cast<std::size_t>(entry.source)].visible) {
        append_visible_text(entry, context);
    } else {
        output_.append(entry.source, entry.line);
    }
}

void LogsPrinter::append_visible_text(const Entry& entry, bool context) {
    Open& open = open_of(entry.source);
    std::string_view text = entry.line;
    if (!open.cut.empty()) {
        whole_ = std::exchange(open.cut, {});
        whole_ += text;
        text = whole_;
    }
    // What a terminal makes of a newline: it does no harm there.
    const bool returns = has_newline(entry) && text.ends_with('\r');
    if (returns) text.remove_suffix(1);
    if (!has_newline(entry) && !options_.whole_lines) {
        const std::size_t size = unfinished_character(text);
        open.cut = text.substr(text.size() - size);
        text.remove_suffix(size);
    }
    scratch_.clear();
    const bool coloured = options_.style[static_cast<std::size_t>(entry.source)].colour;
    std::size_t done = 0;
    if (options_.highlight != nullptr && coloured && !context) {
        for (const Pattern::Place& place : options_.highlight->find_all(text)) {
            append_visible(text.substr(done, place.begin - done), scratch_);
            scratch_ += colour::match;
            append_visible(text.substr(place.begin, place.size), scratch_);
            scratch_ += colour::off;
            done = place.begin + place.size;
        }
    }
    append_visible(text.substr(done), scratch_);
    if (returns) scratch_ += '\r';
    output_.append(entry.source, scratch_);
}

void LogsPrinter::append_cut(Source source) {
    Open& open = open_of(source);
    if (open.cut.empty()) return;
    scratch_.clear();
    append_visible(std::exchange(open.cut, {}), scratch_);
    output_.append(source, scratch_);
}

void LogsPrinter::print(const Entry& entry) {
    print_entry(entry, owner_, false);
}

void LogsPrinter::print(const Line& line, const LineOwner& owner) {
    if (line.after_break) {
        const Source source = line.entry.source;
        output_.append(source, owner.line_prefix[static_cast<std::size_t>(source)] + "--\n");
    }
    print_entry(line.entry, owner, line.context);
}

void LogsPrinter::print_entry(const Entry& entry, const LineOwner& owner, bool context) {
    if (entry.gap) {
        if (!options_.docker_exact) print_message(gap_message(entry), owner);
        return;
    }
    Open& open = open_of(entry.source);
    const bool goes_on = entry.partial && entry.partial->ordinal > 1 && !open.partial_id.empty() &&
                         open.partial_id == entry.partial->id;
    if (!goes_on) append_cut(entry.source);
    if (!goes_on || options_.docker_exact || options_.whole_lines) append_prefix(entry, owner);
    append_text(entry, context);
    if (has_newline(entry) || options_.whole_lines) {
        const bool loses_newline = entry.partial && options_.loses_newlines;
        if (!loses_newline) output_.append(entry.source, "\n");
        open.open = loses_newline;
        open.partial_id.clear();
        return;
    }
    open.open = open.open || !entry.line.empty();
    if (!goes_on) open.partial_id = entry.partial->id;
}

void LogsPrinter::print(const Damage& damage) {
    print(damage, owner_);
}

void LogsPrinter::print(const Damage& damage, const LineOwner& owner) {
    print_message(escape_for_terminal(damage.message()), owner);
}

void LogsPrinter::print_message(const std::string& message, const LineOwner& owner) {
    const auto both_on_terminal = options_.style[0].visible && options_.style[1].visible;
    if (both_on_terminal && open_of(Source::stdout_).open) output_.append(Source::stderr_, "\n");
    Open& open = open_of(Source::stderr_);
    if (open.open) output_.append(Source::stderr_, "\n");
    open.open = false;
    const bool coloured = options_.style[static_cast<std::size_t>(Source::stderr_)].colour;
    std::string text = owner.message_prefix + message;
    if (coloured) text = std::string(colour::warning) + text + std::string(colour::off);
    output_.append(Source::stderr_, text + '\n');
}

void LogsPrinter::print_bytes(Source source, std::string_view bytes) {
    if (bytes.empty()) return;
    if (options_.style[static_cast<std::size_t>(source)].visible) {
        append_visible_bytes(source, bytes);
    } else {
        output_.append(source, bytes);
    }
    open_of(source).open = bytes.back() != '\n';
}

void LogsPrinter::append_visible_bytes(Source source, std::string_view bytes) {
    std::string& cut = open_of(source).cut;
    whole_ = std::exchange(cut, {});
    whole_ += bytes;
    std::string_view text = whole_;
    const std::size_t waits = text.ends_with('\r') ? 1 : unfinished_character(text);
    cut = text.substr(text.size() - waits);
    text.remove_suffix(waits);
    scratch_.clear();
    for (std::size_t end = 0; (end = text.find('\n')) != std::string_view::npos;) {
        std::string_view line = text.substr(0, end);
        text.remove_prefix(end + 1);
        const bool returns = line.ends_with('\r');
        if (returns) line.remove_suffix(1);
        append_visible(line, scratch_);
        scratch_ += returns ? "\r\n" : "\n";
    }
    append_visible(text, scratch_);
    output_.append(source, scratch_);
}

void LogsPrinter::finish() {
    for (const Source source : {Source::stdout_, Source::stderr_}) append_cut(source);
}

}  // namespace twinlog
