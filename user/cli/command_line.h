// The words of a command line, as docker takes them.
#pragma once

#include <CLI/App.hpp>
#include <string>
#include <vector>

namespace twinlog {

// As app.parse() does, throws included, but "--since=" gives an empty value: CLI11 takes the next
// word for it. words: those behind the program's name.
void parse_words(CLI::App& app, std::vector<std::string> words);

}  // namespace twinlog
