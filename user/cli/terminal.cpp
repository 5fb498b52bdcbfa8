#include "cli/terminal.h"

#include <unistd.h>

#include <array>
#include <cstdlib>

namespace twinlog {

TerminalStyle terminal_style(int fd) {
    if (::isatty(fd) == 0) return {};
    const auto variable = [](const char* name) {
        const char* const value = std::getenv(name);
        return std::string_view(value == nullptr ? "" : value);
    };
    return {true, variable("NO_COLOR").empty() && variable("TERM") != "dumb"};
}

namespace colour {

std::string_view of(std::size_t number) {
    constexpr std::array<std::string_view, 10> colours = {
        "\x1b[36m", "\x1b[33m", "\x1b[32m", "\x1b[35m", "\x1b[34m",
        "\x1b[96m", "\x1b[93m", "\x1b[92m", "\x1b[95m", "\x1b[94m"};
    return colours[number % colours.size()];
}

}  // namespace colour

}  // namespace twinlog
