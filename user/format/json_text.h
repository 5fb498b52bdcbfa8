// Text inside JSON strings, as Go's writers escape it, and what is UTF-8 at all.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace twinlog {

// Length of the UTF-8 character at the front, 0 if there is none (Unicode's table of well-formed
// byte sequences, as Go's utf8.DecodeRune).
std::size_t utf8_character_size(std::string_view text);
bool is_utf8(std::string_view text);

enum class JsonStyle : unsigned char {
    line,     // dockerd's own writer of json-file lines: \n and \r are the only short forms
    library,  // Go's encoding/json: \t, too
};

// Appends the inside of a JSON string: <, >, &, U+2028 and U+2029 escaped, each byte that is no
// UTF-8 as \ufffd.
void append_json_text(std::string_view text, JsonStyle style, std::string& out);

}  // namespace twinlog
