#include "read/pattern.h"

#include <re2/re2.h>

#include <string>
#include <utility>

namespace twinlog {

Pattern::Pattern(std::unique_ptr<re2::RE2> compiled) : compiled_(std::move(compiled)) {}
Pattern::Pattern(Pattern&& other) noexcept = default;
Pattern& Pattern::operator=(Pattern&& other) noexcept = default;
Pattern::~Pattern() = default;

Result<Pattern> Pattern::compile(std::string_view expression, bool ignore_case) {
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_case_sensitive(!ignore_case);
    auto compiled =
        std::make_unique<re2::RE2>(re2::StringPiece(expression.data(), expression.size()), options);
    if (!compiled->ok()) {
        return fail("invalid regular expression \"" + std::string(expression) + "\"",
                    compiled->error(), "brackets make a character stand for itself: [(] [*] [.]");
    }
    return Pattern(std::move(compiled));
}

bool Pattern::matches(std::string_view text) const {
    return compiled_->Match(re2::StringPiece(text.data(), text.size()), 0, text.size(),
                            re2::RE2::UNANCHORED, nullptr, 0);
}

std::optional<Pattern::Place> Pattern::find(std::string_view text, std::size_t from) const {
    re2::StringPiece found;
    if (from > text.size() || !compiled_->Match(re2::StringPiece(text.data(), text.size()), from,
                                                text.size(), re2::RE2::UNANCHORED, &found, 1)) {
        return std::nullopt;
    }
    return Place{static_cast<std::size_t>(found.data() - text.data()), found.size()};
}

}  // namespace twinlog
