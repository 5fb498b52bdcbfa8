// --raw of the subcommands that print what containers wrote.
#pragma once

#include <CLI/App.hpp>
#include <array>

#include "cli/terminal.h"

namespace twinlog {

// option must live as long as the command is parsed.
void add_raw_option(CLI::App& command, bool& option);

// Of standard output and standard error, by Source. raw: control bytes go as they are.
std::array<TerminalStyle, 2> output_styles(bool raw);

}  // namespace twinlog
