// RE2 reads UTF-8, and in it no expression takes a byte that is none: matched instead is a copy in
// which U+FFFD stands for each such byte. RE2's other way, Latin-1, would make two characters of
// each "é" of text and expression.
#include "read/pattern.h"

#include <re2/re2.h>

#include <algorithm>
#include <string>
#include <utility>

#include "format/json_text.h"

namespace twinlog {

namespace {

constexpr std::string_view replacement = "\xef\xbf\xbd";  // U+FFFD

// Text made UTF-8, and where its places are in the original.
class Repaired {
 public:
    explicit Repaired(std::string_view text) {
        text_.reserve(text.size() + text.size() / 8);
        while (!text.empty()) {
            const std::size_t size = utf8_character_size(text);
            if (size == 0) {
                replaced_.push_back(text_.size());
                text_ += replacement;
            } else {
                text_ += text.substr(0, size);
            }
            text.remove_prefix(std::max<std::size_t>(size, 1));
        }
    }

    [[nodiscard]] const std::string& text() const { return text_; }
    // A place inside a replacement (\C makes such) is the one behind it.
    [[nodiscard]] std::size_t original(std::size_t at) const {
        const auto behind = std::lower_bound(replaced_.begin(), replaced_.end(), at);
        if (behind == replaced_.begin()) return at;
        const auto before = static_cast<std::size_t>(behind - replaced_.begin());
        return std::max(at, *std::prev(behind) + replacement.size()) -
               before * (replacement.size() - 1);
    }

 private:
    std::string text_;
    std::vector<std::size_t> replaced_;  // where replacements begin in text_
};

re2::StringPiece piece_of(std::string_view text) {
    return {text.data(), text.size()};
}

}  // namespace

Pattern::Pattern(std::unique_ptr<re2::RE2> compiled) : compiled_(std::move(compiled)) {}
Pattern::Pattern(Pattern&& other) noexcept = default;
Pattern& Pattern::operator=(Pattern&& other) noexcept = default;
Pattern::~Pattern() = default;

Result<Pattern> Pattern::compile(std::string_view expression, bool ignore_case) {
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_case_sensitive(!ignore_case);
    auto compiled = std::make_unique<re2::RE2>(piece_of(expression), options);
    if (!compiled->ok()) {
        return fail("invalid regular expression \"" + std::string(expression) + "\"",
                    compiled->error(), "brackets make a character stand for itself: [(] [*] [.]");
    }
    return Pattern(std::move(compiled));
}

bool Pattern::matches_utf8(std::string_view text) const {
    return compiled_->Match(piece_of(text), 0, text.size(), re2::RE2::UNANCHORED, nullptr, 0);
}

bool Pattern::matches(std::string_view text) const {
    // What matches as it is does so repaired, too.
    return matches_utf8(text) || (!is_utf8(text) && matches_utf8(Repaired(text).text()));
}

std::vector<Pattern::Place> Pattern::find_all_utf8(std::string_view text) const {
    std::vector<Place> places;
    re2::StringPiece found;
    for (std::size_t from = 0;
         from <= text.size() &&
         compiled_->Match(piece_of(text), from, text.size(), re2::RE2::UNANCHORED, &found, 1);) {
        const auto begin = static_cast<std::size_t>(found.data() - text.data());
        from = begin + found.size() + (found.empty() ? 1 : 0);
        if (!found.empty()) places.push_back({begin, found.size()});
    }
    return places;
}

std::vector<Pattern::Place> Pattern::find_all(std::string_view text) const {
    if (is_utf8(text)) return find_all_utf8(text);
    const Repaired repaired(text);
    std::vector<Place> places = find_all_utf8(repaired.text());
    for (Place& place : places) {
        const std::size_t begin = repaired.original(place.begin);
        place = {begin, repaired.original(place.begin + place.size) - begin};
    }
    return places;
}

}  // namespace twinlog
