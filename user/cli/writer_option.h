// --writer of the subcommands that print lines.
#pragma once

#include <CLI/App.hpp>
#include <optional>
#include <string>

#include "read/line_filter.h"

namespace twinlog {

struct WriterOption {
    std::string text;  // as CLI11 gives it; empty: not asked for

    // The process is shown before each line.
    [[nodiscard]] bool shown() const { return !text.empty(); }
    // Only the lines of one process; none: of all.
    [[nodiscard]] std::optional<WriterFilter> filter() const;
};

// option must live as long as the command is parsed.
void add_writer_option(CLI::App& command, WriterOption& option);

}  // namespace twinlog
