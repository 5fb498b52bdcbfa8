// A regular expression, as RE2 takes it: matching takes time in proportion to the text, whatever
// the expression.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>

#include "base/result.h"

namespace re2 {
class RE2;
}

namespace twinlog {

class Pattern {
 public:
    struct Place {
        std::size_t begin = 0;
        std::size_t size = 0;
    };

    // The error names the expression and what is wrong with it.
    static Result<Pattern> compile(std::string_view expression, bool ignore_case);

    [[nodiscard]] bool matches(std::string_view text) const;
    // The first match that begins at from or behind it.
    [[nodiscard]] std::optional<Place> find(std::string_view text, std::size_t from) const;

    Pattern(Pattern&& other) noexcept;
    Pattern& operator=(Pattern&& other) noexcept;
    Pattern(const Pattern&) = delete;
    Pattern& operator=(const Pattern&) = delete;
    ~Pattern();

 private:
    explicit Pattern(std::unique_ptr<re2::RE2> compiled);
    std::unique_ptr<re2::RE2> compiled_;
};

}  // namespace twinlog
