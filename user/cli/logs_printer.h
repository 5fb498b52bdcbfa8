// Turns log entries into what `docker logs` would print of them. Nothing is written but by flush().
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "format/entry.h"
#include "read/log_file.h"

namespace twinlog {

// What is to be written to standard output and standard error, in one order, because on a terminal
// both meet in one place.
class PrintBuffer {
 public:
    struct Piece {
        Source to;
        std::string_view text;
    };

    void append(Source to, std::string_view text);
    // Neighbours never go to the same stream. Borrows from this object until its next change.
    [[nodiscard]] std::vector<Piece> pieces() const;
    [[nodiscard]] std::size_t size() const { return text_.size(); }
    void clear();

 private:
    struct Span {
        Source to;
        std::size_t end;  // in text_; it begins where the former one ends
    };
    std::string text_;
    std::vector<Span> spans_;
};

struct PrintOptions {
    bool timestamps = false;
    bool details = false;  // Docker's attributes and a space; there are none, so the space alone
    bool writer = false;   // comm[pid/tid] of the process that ended the line
    std::string subject = {};  // whose log it is, in messages; hostile; may be empty
};

class LogsPrinter {
 public:
    explicit LogsPrinter(PrintOptions options);

    // Lines get their newline back. Pieces of a cut line are joined, with one prefix at its
    // beginning. A gap becomes a message on standard error.
    void print(const Entry& entry);
    // A message on standard error.
    void print(const Damage& damage);
    // Bytes as they are.
    void print_raw(Source source, std::string_view bytes);

    // What is waiting to be written.
    [[nodiscard]] const PrintBuffer& output() const { return output_; }
    // Writes it to file descriptors 1 and 2. An error with code EPIPE: nobody reads it any more.
    Status flush();

 private:
    struct Line {
        bool open = false;       // the last byte written was no newline
        std::string partial_id;  // of the cut line that is to go on
    };

    Line& line_of(Source source) { return lines_[static_cast<std::size_t>(source)]; }
    void print_message(const std::string& message);
    void append_prefix(const Entry& entry);

    PrintOptions options_;
    std::string message_prefix_;
    PrintBuffer output_;
    std::array<Line, 2> lines_;
    std::string scratch_;
};

}  // namespace twinlog
