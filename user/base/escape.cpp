// Escaping of hostile text; what counts as invisible follows Unicode's Cc, Bidi_Control and the
// default-ignorable format characters that editors and terminals do not show.
#include "base/escape.h"

#include <array>
#include <cstddef>
#include <cstdint>

namespace twinlog {
namespace {

struct CodePoint {
    char32_t value = 0;
    std::size_t size = 0;  // bytes; 0: not valid UTF-8
};

struct Range {
    char32_t first;
    char32_t last;
};

// Ordered by first.
constexpr std::array<Range, 11> invisible = {{
    {0x80, 0x9f},        // C1 controls
    {0xad, 0xad},        // soft hyphen
    {0x61c, 0x61c},      // Arabic letter mark
    {0x180e, 0x180e},    // Mongolian vowel separator
    {0x200b, 0x200f},    // zero width, direction marks
    {0x2028, 0x202e},    // line and paragraph separators, embeddings, overrides
    {0x2060, 0x206f},    // word joiner, isolates, deprecated controls
    {0xfeff, 0xfeff},    // byte order mark
    {0xfff9, 0xfffb},    // interlinear annotation
    {0x1d173, 0x1d17a},  // musical format controls
    {0xe0000, 0xe007f},  // tags
}};

bool is_invisible(char32_t value) {
    for (const Range& range : invisible) {
        if (value < range.first) return false;
        if (value <= range.last) return true;
    }
    return false;
}

// Strict: no overlong forms, no surrogates, nothing above U+10FFFF.
CodePoint decode(std::string_view text) {
    const auto byte = [text](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
    const std::uint8_t lead = byte(0);
    if (lead < 0x80) return {lead, 1};
    std::size_t size = 0;
    char32_t value = 0;
    char32_t least = 0;
    if (lead >= 0xc2 && lead <= 0xdf) {
        size = 2;
        value = lead & 0x1fU;
        least = 0x80;
    } else if (lead >= 0xe0 && lead <= 0xef) {
        size = 3;
        value = lead & 0x0fU;
        least = 0x800;
    } else if (lead >= 0xf0 && lead <= 0xf4) {
        size = 4;
        value = lead & 0x07U;
        least = 0x10000;
    } else {
        return {};
    }
    if (text.size() < size) return {};
    for (std::size_t i = 1; i < size; ++i) {
        if ((byte(i) & 0xc0U) != 0x80) return {};
        value = (value << 6U) | (byte(i) & 0x3fU);
    }
    const bool surrogate = value >= 0xd800 && value <= 0xdfff;
    if (value < least || value > 0x10ffff || surrogate) return {};
    return {value, size};
}

void append_hex(std::string& out, std::uint32_t value, int digits) {
    constexpr std::string_view hex = "0123456789abcdef";
    for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) {
        out += hex[(value >> static_cast<unsigned>(shift)) & 0xfU];
    }
}

void append_byte(std::string& out, std::uint8_t byte) {
    out += "\\x";
    append_hex(out, byte, 2);
}

// The letter that stands for it behind a backslash, 0 for none.
char short_form(char32_t value) {
    if (value == U'\n') return 'n';
    if (value == U'\r') return 'r';
    if (value == U'\t') return 't';
    return value == U'\\' ? '\\' : '\0';
}

// short_forms: the characters that get a backslash and a letter.
void append_escaped(std::string_view text, std::string_view short_forms, std::string& out) {
    while (!text.empty()) {
        const CodePoint point = decode(text);
        if (point.size == 0) {
            append_byte(out, static_cast<std::uint8_t>(text.front()));
            text.remove_prefix(1);
            continue;
        }
        if (point.size == 1 && short_forms.find(text.front()) != std::string_view::npos) {
            out += '\\';
            out += short_form(point.value);
        } else if ((point.value < 0x20 && point.value != U'\t') || point.value == 0x7f) {
            append_byte(out, static_cast<std::uint8_t>(point.value));
        } else if (is_invisible(point.value)) {
            out += point.value > 0xffff ? "\\U" : "\\u";
            append_hex(out, point.value, point.value > 0xffff ? 8 : 4);
        } else {
            out += text.substr(0, point.size);
        }
        text.remove_prefix(point.size);
    }
}

}  // namespace

std::string escape_for_terminal(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    append_escaped(text, "\n\r\t\\", out);
    return out;
}

void append_visible(std::string_view text, std::string& out) {
    append_escaped(text, "\n\r", out);
}

std::string json_for_terminal(std::string_view json) {
    const auto append_unit = [](std::string& out, std::uint32_t unit) {
        out += "\\u";
        append_hex(out, unit, 4);
    };
    std::string out;
    out.reserve(json.size());
    while (!json.empty()) {
        const CodePoint point = decode(json);
        const std::size_t size = point.size == 0 ? 1 : point.size;
        if (point.size == 0 || (point.value != 0x7f && !is_invisible(point.value))) {
            out += json.substr(0, size);
        } else if (point.value <= 0xffff) {
            append_unit(out, point.value);
        } else {  // a pair of surrogates
            append_unit(out, 0xd800 + ((point.value - 0x10000) >> 10U));
            append_unit(out, 0xdc00 + ((point.value - 0x10000) & 0x3ffU));
        }
        json.remove_prefix(size);
    }
    return out;
}

std::size_t unfinished_character(std::string_view text) {
    for (std::size_t size = 1; size <= 3 && size <= text.size(); ++size) {
        const auto lead = static_cast<std::uint8_t>(text[text.size() - size]);
        if (lead < 0x80) return 0;
        if (lead < 0xc0) continue;
        std::size_t whole = 2;
        if (lead >= 0xe0) whole = lead < 0xf0 ? 3 : 4;
        return size < whole ? size : 0;
    }
    return 0;
}

}  // namespace twinlog
