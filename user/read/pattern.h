// A regular expression, as RE2 takes it: matching takes time in proportion to the text, whatever
// the expression. A byte that is no UTF-8 is a character as any other: "." takes it.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

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

        bool operator==(const Place&) const = default;
    };

    // The error names the expression and what is wrong with it.
    static Result<Pattern> compile(std::string_view expression, bool ignore_case);

    [[nodiscard]] bool matches(std::string_view text) const;
    // All matches that are not empty, in their order.
    [[nodiscard]] std::vector<Place> find_all(std::string_view text) const;

    Pattern(Pattern&& other) noexcept;
    Pattern& operator=(Pattern&& other) noexcept;
    Pattern(const Pattern&) = delete;
    Pattern& operator=(const Pattern&) = delete;
    ~Pattern();

 private:
    explicit Pattern(std::unique_ptr<re2::RE2> compiled);
    [[nodiscard]] bool matches_utf8(std::string_view text) const;
    [[nodiscard]] std::vector<Place> find_all_utf8(std::string_view text) const;

    std::unique_ptr<re2::RE2> compiled_;
};

}  // namespace twinlog
