// Escaping by a table of the bytes that need none.
#include "format/json_text.h"

#include <array>
#include <cstdint>
#include <cstring>

namespace twinlog {

namespace {

constexpr std::string_view hex_digits = "0123456789abcdef";

// Bytes that stand for themselves in a JSON string of Go's.
constexpr std::array<bool, 256> make_plain() {
    std::array<bool, 256> plain{};
    for (std::size_t c = 0x20; c < 0x80; ++c) {
        plain.at(c) = c != '"' && c != '\\' && c != '<' && c != '>' && c != '&';
    }
    return plain;
}
constexpr std::array<bool, 256> plain_bytes = make_plain();

}  // namespace

std::size_t utf8_character_size(std::string_view text) {
    const auto byte = [&text](std::size_t i) -> unsigned {
        return i < text.size() ? static_cast<unsigned char>(text[i]) : 0;
    };
    const auto continues = [&byte](std::size_t i) { return (byte(i) & 0xc0U) == 0x80; };
    const unsigned first = byte(0);
    if (first < 0x80) return 1;
    if (first >= 0xc2 && first <= 0xdf) return continues(1) ? 2 : 0;
    if (first >= 0xe0 && first <= 0xef) {
        if (first == 0xe0 && byte(1) < 0xa0) return 0;
        if (first == 0xed && byte(1) > 0x9f) return 0;
        return continues(1) && continues(2) ? 3 : 0;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        if (first == 0xf0 && byte(1) < 0x90) return 0;
        if (first == 0xf4 && byte(1) > 0x8f) return 0;
        return continues(1) && continues(2) && continues(3) ? 4 : 0;
    }
    return 0;
}

bool is_utf8(std::string_view text) {
    constexpr std::uint64_t high_bits = 0x8080808080808080;
    std::uint64_t word = 0;
    while (!text.empty()) {
        // ASCII, which most of it is, by words.
        if (text.size() >= sizeof word) {
            std::memcpy(&word, text.data(), sizeof word);
            if ((word & high_bits) == 0) {
                text.remove_prefix(sizeof word);
                continue;
            }
        }
        const std::size_t size = utf8_character_size(text);
        if (size == 0) return false;
        text.remove_prefix(size);
    }
    return true;
}

void append_json_text(std::string_view text, JsonStyle style, std::string& out) {
    std::size_t done = 0;  // what is in out already
    for (std::size_t at = 0; at < text.size();) {
        const auto c = static_cast<unsigned char>(text[at]);
        if (plain_bytes[c]) {
            ++at;
            continue;
        }
        std::size_t size = 1;
        if (c >= 0x80) {
            size = utf8_character_size(text.substr(at));
            const std::string_view character = text.substr(at, size);
            const bool separator = character == "\xe2\x80\xa8" || character == "\xe2\x80\xa9";
            if (size > 0 && !separator) {
                at += size;
                continue;
            }
            out += text.substr(done, at - done);
            if (separator) {
                out += character.back() == '\xa8' ? "\\u2028" : "\\u2029";
            } else {
                out += "\\ufffd";
                size = 1;
            }
        } else {
            out += text.substr(done, at - done);
            if (c == '"' || c == '\\') {
                out += '\\';
                out += static_cast<char>(c);
            } else if (c == '\n') {
                out += "\\n";
            } else if (c == '\r') {
                out += "\\r";
            } else if (c == '\t' && style == JsonStyle::library) {
                out += "\\t";
            } else {
                out += "\\u00";
                out += hex_digits[c >> 4U];
                out += hex_digits[c & 0xfU];
            }
        }
        at += size;
        done = at;
    }
    out += text.substr(done);
}

}  // namespace twinlog
