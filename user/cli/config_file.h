// --config of a subcommand: a file with options by their long names, one a line. CLI11 has such
// files for the program as a whole only; what a subcommand is told of one it never reads.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <memory>
#include <string>

namespace twinlog {

// What becomes of names in the file that the command has no option for.
enum class UnknownNames : std::uint8_t {
    refused,  // wrong usage
    ignored,  // the file is another command's as well
};

// Adds the option. The command line and the environment stand above the file. It takes the
// command's parse_complete_callback. Returns the file's path, which is empty if none was given.
std::shared_ptr<const std::string> add_config_option(CLI::App& command, UnknownNames unknown);

}  // namespace twinlog
