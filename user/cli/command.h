// How a subcommand joins the program: it registers itself with CLI11 and, when chosen, leaves what
// main is to run. One file a subcommand; main.cpp knows these functions and nothing else of them.
#pragma once

#include <CLI/App.hpp>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace twinlog {

// Exit codes of the program; 128 + N ends a traced command that signal N ended.
inline constexpr int exit_ok = 0;
inline constexpr int exit_failure = 1;
inline constexpr int exit_usage = 2;

// Runs the chosen subcommand and returns the program's exit code.
using Action = std::function<int()>;

// command_line: the words behind the program's name, to be read again on SIGHUP.
void register_run(CLI::App& app, Action& chosen, std::vector<std::string> command_line);
void register_stop(CLI::App& app, Action& chosen);
void register_trace(CLI::App& app, Action& chosen);
void register_logs(CLI::App& app, Action& chosen);
void register_ps(CLI::App& app, Action& chosen);
void register_stats(CLI::App& app, Action& chosen);
void register_doctor(CLI::App& app, Action& chosen);
void register_verify(CLI::App& app, Action& chosen);
void register_convert(CLI::App& app, Action& chosen);
void register_describe(CLI::App& app, Action& chosen);

// Prints "twinlog: <message>" on stderr, or "twinlog <command>: <message>", made harmless for a
// terminal, or an object of --log-format json. Returns exit_failure.
int report(const Error& error, std::string_view command = {});

// --store of every subcommand that has one, with its default and environment variable.
void add_store_option(CLI::App& command, std::string& store);

}  // namespace twinlog
