// What a terminal is spared and what it is given.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace twinlog {

struct TerminalStyle {
    bool visible = false;  // control bytes are made visible
    bool colour = false;
};

// For what is written to this descriptor: neither, if it is no terminal. No colours with NO_COLOR
// in the environment, or on a terminal that has none.
TerminalStyle terminal_style(int fd);

namespace colour {
inline constexpr std::string_view off = "\x1b[0m";
inline constexpr std::string_view match = "\x1b[1;31m";
inline constexpr std::string_view warning = "\x1b[33m";
// One of a few that are well told apart, the same for the same number.
std::string_view of(std::size_t number);
}  // namespace colour

}  // namespace twinlog
