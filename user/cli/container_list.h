// What `ps` and `stats` have in common: which containers, in which form.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <string>

#include "read/container_catalog.h"

namespace twinlog {

// --format table|json of a subcommand.
void add_format_option(CLI::App& command, std::string& format);

// read_catalog(), with what it could not read told on stderr, and a note there if containers are
// marked as running but no daemon is there to keep that true.
Result<Catalog> read_catalog_for_people(const std::string& store);

// Writes text to stdout; the exit code.
int print_text(const std::string& text);

// "3 minutes ago", "-" for 0. Times are Unix ns.
std::string time_ago(std::int64_t time_ns, std::int64_t now_ns);

}  // namespace twinlog
