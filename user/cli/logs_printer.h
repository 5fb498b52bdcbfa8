// Turns log entries into what `docker logs` would print of them. Nothing is written but by flush().
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/print_buffer.h"
#include "cli/terminal.h"
#include "format/entry.h"
#include "read/line.h"
#include "read/log_file.h"
#include "read/pattern.h"

namespace twinlog {

struct PrintOptions {
    bool timestamps = false;
    bool details = false;      // Docker's attributes and a space
    bool writer = false;       // comm[pid/tid] of the process that ended the line
    std::string subject = {};  // whose log it is, in messages; hostile; may be empty
    // As Docker: the prefix before each piece of a cut line, and no word of what is missing.
    bool docker_exact = false;
    // As dockerd before version 22.06 reads its local format: a cut line has no newline.
    bool loses_newlines = false;
    // Each entry is a line of its own, with prefix and newline.
    bool whole_lines = false;
    // Of standard output and standard error, by Source.
    std::array<TerminalStyle, 2> style = {};
    // Coloured where it matches a line, if the style allows. Must outlive the printer.
    const Pattern* highlight = nullptr;
};

// Whose line it is, as it is shown.
struct LineOwner {
    std::string message_prefix;              // of messages: "twinlog: web: "
    std::array<std::string, 2> line_prefix;  // by Source: "web  | "; none for a log that is alone
};

// "twinlog: web: ", harmless on a terminal.
std::string message_prefix_of(std::string_view subject);
// What is said of a log in which a line was too long to be looked at as a whole; subject: whose.
Error cut_line_notice(std::string subject);
// "stdout: 1,234 bytes lost here: ring full"
std::string gap_message(const Entry& entry);

class LogsPrinter {
 public:
    explicit LogsPrinter(PrintOptions options);

    // Lines get their newline back. Pieces of a cut line are joined, with one prefix at its
    // beginning. A gap becomes a message on standard error.
    void print(const Entry& entry);
    // The same with the pieces put together already.
    void print(const Line& line) { print(line, owner_); }
    // The same for one of several logs.
    void print(const Line& line, const LineOwner& owner);
    // A message on standard error.
    void print(const Damage& damage);
    void print(const Damage& damage, const LineOwner& owner);
    // Bytes of a stream, which may begin and end anywhere in a line.
    void print_bytes(Source source, std::string_view bytes);
    // Nothing follows: what waited for the rest of its character is printed.
    void finish();

    // What is waiting to be written.
    [[nodiscard]] const PrintBuffer& output() const { return output_; }
    // Writes it to file descriptors 1 and 2. An error with code EPIPE: nobody reads it any more.
    Status flush() { return output_.flush(); }

 private:
    struct Open {
        bool open = false;       // the last byte written was no newline
        std::string partial_id;  // of the cut line that is to go on
        std::string cut;  // the beginning of a character, or of \r\n, that what follows completes
    };

    Open& open_of(Source source) { return open_[static_cast<std::size_t>(source)]; }
    void print_entry(const Entry& entry, const LineOwner& owner, bool context);
    void print_message(const std::string& message, const LineOwner& owner);
    void append_prefix(const Entry& entry, const LineOwner& owner);
    void append_text(const Entry& entry, bool context);
    void append_visible_text(const Entry& entry, bool context);
    void append_cut(Source source);
    void append_visible_bytes(Source source, std::string_view bytes);

    PrintOptions options_;
    LineOwner owner_;  // where none is given
    PrintBuffer output_;
    std::array<Open, 2> open_;
    std::string scratch_;
    std::string whole_;  // a piece behind the character that the former one cut
};

}  // namespace twinlog
