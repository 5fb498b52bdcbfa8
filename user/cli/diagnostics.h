// What the program says about itself: on stderr, through spdlog. Data goes to stdout.
#pragma once

#include <CLI/App.hpp>

namespace twinlog {

// Adds --log-level and --log-format, and sets spdlog up once they are parsed.
void add_diagnostics_options(CLI::App& app);

// The same where the command line could not be parsed, as far as it was.
void set_up_diagnostics(const CLI::App& app);

}  // namespace twinlog
