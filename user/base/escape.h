// Makes text that a container chose (names, labels, comm, output) harmless on a person's terminal.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace twinlog {

// The text with everything made visible that a terminal could act on or that could mislead the eye:
// control bytes and DEL (\n, \t, \r, \x1b), C1 controls, bidi and other invisible controls
// (\u202e), and each byte that is not valid UTF-8 (\xff). A backslash is doubled, so that the
// result is unambiguous. All other UTF-8 stays as it is.
[[nodiscard]] std::string escape_for_terminal(std::string_view text);

// Appends text that is read rather than parsed, such as a line of a log: as above, but tabs and
// backslashes stay as they are.
void append_visible(std::string_view text, std::string& out);

// JSON that means the same, in which the characters above are escaped, too, that JSON leaves as
// they are (DEL, C1 controls, bidi and other invisible ones).
[[nodiscard]] std::string json_for_terminal(std::string_view json);

// How many bytes at the end are the beginning of a UTF-8 character that more text may complete; 0
// to 3.
[[nodiscard]] std::size_t unfinished_character(std::string_view text);

}  // namespace twinlog
