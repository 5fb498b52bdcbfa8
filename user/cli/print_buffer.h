// What is to be written to standard output and standard error, in one order, because on a terminal
// both meet in one place.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "format/entry.h"

namespace twinlog {

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

    // Writes all to file descriptors 1 and 2, waiting where they do not block. An error with code
    // EPIPE: nobody reads it any more; what is for the other one is written all the same.
    Status flush();

 private:
    struct Span {
        Source to;
        std::size_t end;  // in text_; it begins where the former one ends
    };
    std::string text_;
    std::vector<Span> spans_;
};

}  // namespace twinlog
