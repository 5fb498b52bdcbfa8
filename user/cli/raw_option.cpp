#include "cli/raw_option.h"

#include <unistd.h>

#include <CLI/CLI.hpp>

namespace twinlog {

void add_raw_option(CLI::App& command, bool& option) {
    command.add_flag("--raw", option, "Send control bytes, colours too, to a terminal as they are");
}

std::array<TerminalStyle, 2> output_styles(bool raw) {
    std::array<TerminalStyle, 2> styles = {terminal_style(STDOUT_FILENO),
                                           terminal_style(STDERR_FILENO)};
    for (TerminalStyle& style : styles) style.visible &= !raw;
    return styles;
}

}  // namespace twinlog
