#include "cli/diagnostics.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/escape.h"
#include "cli/command.h"
#include "format/json_text.h"

namespace twinlog {

namespace {

const std::string logger_name = "twinlog";

struct Diagnostics {
    std::string level = "info";
    std::string format = "text";
};

// The message, as it stands in a JSON string.
class JsonMessage : public spdlog::custom_flag_formatter {
 public:
    void format(const spdlog::details::log_msg& message, const std::tm& /*time*/,
                spdlog::memory_buf_t& to) override {
        std::string text;
        append_json_text({message.payload.data(), message.payload.size()}, JsonStyle::library,
                         text);
        text = json_for_terminal(text);
        to.append(text.data(), text.data() + text.size());
    }
    [[nodiscard]] std::unique_ptr<spdlog::custom_flag_formatter> clone() const override {
        return std::make_unique<JsonMessage>();
    }
};

// Whether report() is to speak as the logger does.
bool& speaks_json() {
    static bool json = false;
    return json;
}

void set_up(const Diagnostics& diagnostics) {
    auto logger = spdlog::stderr_color_mt(logger_name);
    logger->set_level(spdlog::level::from_str(diagnostics.level));
    if (diagnostics.format == "json") {
        auto formatter =
            std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
        formatter->add_flag<JsonMessage>('*').set_pattern(
            R"({"time":"%Y-%m-%dT%H:%M:%S.%fZ","level":"%l","message":"%*"})");
        logger->set_formatter(std::move(formatter));
        speaks_json() = true;
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

void set_up_diagnostics(const CLI::App& app) {
    if (spdlog::get(logger_name) != nullptr) return;
    Diagnostics diagnostics;
    const auto format = app.get_option("--log-format")->results();
    if (!format.empty() && format.back() == "json") diagnostics.format = "json";
    set_up(diagnostics);
}

int report(const Error& error, std::string_view command) {
    std::string text = escape_for_terminal(error.message());
    if (speaks_json()) {
        // Past the logger's level: it is why the program ends.
        const spdlog::details::log_msg said({}, spdlog::level::err, text);
        for (const auto& sink : spdlog::default_logger()->sinks()) sink->log(said);
        return exit_failure;
    }
    text = "twinlog" + (command.empty() ? "" : " " + std::string(command)) + ": " + text + "\n";
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
