// What is said of a command line that cannot be read, and of one that only asks for help.
#pragma once

#include <CLI/App.hpp>

#include "base/result.h"
#include "cli/command.h"

namespace twinlog {

// CLI11's error in the program's words: what was given, what is wrong with it, where help is.
Error usage_error(const CLI::App& app, const CLI::ParseError& error);

// The end of a program whose command line was not parsed: prints help or the version where it asks
// for them, reports the error where it has one. Returns the exit code.
int end_parsing(const CLI::App& app, const CLI::ParseError& error);

// `twinlog help [COMMAND]` and `twinlog version`, which docker's users expect. Not in --help.
void register_help(CLI::App& app, Action& chosen);

}  // namespace twinlog
