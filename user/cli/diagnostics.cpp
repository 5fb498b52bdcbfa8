#include "cli/diagnostics.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>

#include "base/escape.h"
#include "cli/command.h"

namespace twinlog {

namespace {

struct Diagnostics {
    std::string level = "info";
    std::string format = "text";
};

void set_up(const Diagnostics& diagnostics) {
    auto logger = spdlog::stderr_color_mt("twinlog");
    logger->set_level(spdlog::level::from_str(diagnostics.level));
    if (diagnostics.format == "json") {
        // Messages are escaped for terminals, so the quotes are all that JSON can trip over.
        logger->set_pattern(R"({"time":"%Y-%m-%dT%H:%M:%S.%fZ","level":"%l","message":"%v"})",
                            spdlog::pattern_time_type::utc);
    } else {
        logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %^%l%$ %v", spdlog::pattern_time_type::utc);
    }
    spdlog::set_default_logger(std::move(logger));
}

}  // namespace

void add_diagnostics_options(CLI::App& app) {
    auto diagnostics = std::make_shared<Diagnostics>();
    app.add_option("--log-level", diagnostics->level, "How much to say on stderr")
        ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}))
        ->capture_default_str();
    app.add_option("--log-format", diagnostics->format, "text, or json: an object a line")
        ->check(CLI::IsMember({"text", "json"}))
        ->capture_default_str();
    app.parse_complete_callback([diagnostics] { set_up(*diagnostics); });
}

int report(const Error& error) {
    const std::string text = "twinlog: " + escape_for_terminal(error.message()) + "\n";
    // Where stderr cannot be written, the exit code still tells.
    std::fwrite(text.data(), 1, text.size(), stderr);
    return exit_failure;
}

void add_store_option(CLI::App& command, std::string& store) {
    command.add_option("--store", store, "Directory of the logs")
        ->type_name("DIR")
        ->envname("TWINLOG_STORE")
        ->capture_default_str();
}

}  // namespace twinlog
