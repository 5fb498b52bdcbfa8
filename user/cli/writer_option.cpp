#include "cli/writer_option.h"

#include <CLI/CLI.hpp>
#include <string_view>

namespace twinlog {

namespace {

// What CLI11 gives for a flag without a value.
constexpr std::string_view flag_alone = "true";

}  // namespace

std::optional<WriterFilter> WriterOption::filter() const {
    if (text.empty() || text == flag_alone) return std::nullopt;
    return WriterFilter(text);
}

void add_writer_option(CLI::App& command, WriterOption& option) {
    command.add_flag("--writer", option.text,
                     "Show the process that wrote the line: comm[pid/tid]; --writer=NAME or "
                     "--writer=PID, as host or container sees it: only that one's lines");
}

}  // namespace twinlog
