// twinlog logs: prints a container's cached log as `docker logs` would.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/docker_time.h"
#include "cli/command.h"
#include "cli/logs_printer.h"
#include "read/container_catalog.h"
#include "read/log_reader.h"

namespace twinlog {

namespace {

// Large writes when there is much to print; when there is not, idle flushes at once.
constexpr std::size_t flush_size = std::size_t{128} * 1024;

struct LogsOptions {
    std::string store = "/var/lib/twinlog";
    std::string container;
    std::string since;
    std::string until;
    std::string tail = "all";
    bool follow = false;
    PrintOptions print;
};

// As Docker: what is no number, and what is negative, means all.
std::optional<std::uint64_t> parse_tail(std::string_view text) {
    if (text.starts_with('+')) text.remove_prefix(1);
    std::uint64_t count = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, count);
    if (error != std::errc{} || stop != end) return std::nullopt;
    return count;
}

Status print_logs(LogsOptions options) {
    const TimeReference now = local_time_reference();
    ReadOptions read;
    auto since = parse_docker_time("since", options.since, now);
    if (!since) return pass_on(std::move(since));
    auto until = parse_docker_time("until", options.until, now);
    if (!until) return pass_on(std::move(until));
    read.since_ns = *since;
    if (*until != 0) read.until_ns = *until;  // Docker: 0 is unset
    read.tail = parse_tail(options.tail);
    read.follow = options.follow;

    auto catalog = read_catalog(options.store);
    if (!catalog) return pass_on(std::move(catalog));
    auto found = find_container(*catalog, options.container);
    if (!found) return pass_on(std::move(found));
    auto reader = LogReader::open(found->directory, read);
    if (!reader) return pass_on(std::move(reader));

    options.print.subject = found->info.name;
    LogsPrinter printer(options.print);
    for (;;) {
        const auto step = reader->next();
        if (!step) {
            // What came before the failure is shown before it is told.
            if (auto flushed = printer.flush(); !flushed) return flushed;
            return fail(step.error());
        }
        switch (*step) {
            case LogReader::Step::entry:
                printer.print(reader->entry());
                break;
            case LogReader::Step::damage:
                printer.print(reader->damage());
                break;
            case LogReader::Step::idle: {
                if (auto flushed = printer.flush(); !flushed) return flushed;
                const auto woken = reader->wait(-1, STDOUT_FILENO);
                if (!woken) return fail(woken.error());
                if (*woken == DirectoryWatch::Wake::stop) return {};
                break;
            }
            case LogReader::Step::end:
                return printer.flush();
        }
        if (printer.output().size() < flush_size) continue;
        if (auto flushed = printer.flush(); !flushed) return flushed;
    }
}

}  // namespace

void register_logs(CLI::App& app, Action& chosen) {
    auto options = std::make_shared<LogsOptions>();
    CLI::App* command = app.add_subcommand("logs", "Prints a container's log as docker logs does");
    command->add_flag("-f,--follow", options->follow, "Go on until the container ends");
    command->add_flag("-t,--timestamps", options->print.timestamps,
                      "Begin each line with its time in UTC");
    command->add_option("-n,--tail", options->tail, "Only so many entries from the end")
        ->type_name("N")
        ->capture_default_str();
    command
        ->add_option("--since", options->since,
                     "Only from this time on: 10m (ago), 2026-11-24T08:00, Unix seconds")
        ->type_name("TIME");
    command->add_option("--until", options->until, "Only up to this time")->type_name("TIME");
    command->add_flag("--details", options->print.details, "As docker logs: attributes first");
    command->add_flag("--writer", options->print.writer,
                      "Show the process that wrote the line: comm[pid/tid]");
    add_store_option(*command, options->store);
    command->add_option("CONTAINER", options->container, "Name, id, or the beginning of an id")
        ->type_name("")
        ->required();
    command->callback([&chosen, options] {
        chosen = [options] {
            // A reader that has seen enough (head) ends the program quietly, by EPIPE.
            if (std::signal(SIGPIPE, SIG_IGN) == SIG_ERR) {
                return report(Error{"SIGPIPE", "cannot ignore it", errno, {}});
            }
            const auto printed = print_logs(*options);
            return printed || printed.error().code == EPIPE ? exit_ok : report(printed.error());
        };
    });
}

}  // namespace twinlog
