// twinlog logs: prints containers' cached logs as `docker logs` would, or finds lines in them.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/docker_time.h"
#include "cli/command.h"
#include "cli/daemon_watch.h"
#include "cli/log_session.h"
#include "cli/logs_printer.h"
#include "cli/raw_option.h"
#include "cli/writer_option.h"
#include "read/container_catalog.h"
#include "read/log_reader.h"

namespace twinlog {

namespace {

// Large writes when there is much to print; when there is not, idle flushes at once.
constexpr std::size_t flush_size = std::size_t{128} * 1024;

// The versions of dockerd between which its readers changed.
constexpr std::string_view docker_20_10 = "20.10";
constexpr std::string_view docker_23 = "23";

struct LogsOptions {
    std::string store = "/var/lib/twinlog";
    std::vector<std::string> containers;
    bool all = false;
    std::vector<std::string> labels;
    std::string since;
    std::string until;
    std::string tail = "all";
    bool follow = false;
    bool only_stdout = false;
    bool only_stderr = false;
    WriterOption writer;
    bool greps = false;
    std::string grep;  // an empty one matches all lines
    bool ignore_case = false;
    bool invert = false;
    std::uint32_t context = 0;
    std::string form = "short";
    bool raw = false;
    std::string docker_exact;  // the version; empty: not asked for
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

Result<ReadOptions> read_options(const LogsOptions& options) {
    const TimeReference now = local_time_reference();
    ReadOptions read;
    const auto parse = [&now](std::string_view option, std::string_view value) {
        auto time = parse_docker_time(option, value, now);
        if (!time) time.error().hint = "for example 10m, 24h or 2026-11-24T08:00";
        return time;
    };
    auto since = parse("since", options.since);
    if (!since) return pass_on(std::move(since));
    auto until = parse("until", options.until);
    if (!until) return pass_on(std::move(until));
    read.since_ns = *since;
    if (*until != 0) read.until_ns = *until;  // Docker: 0 is unset
    read.tail = parse_tail(options.tail);
    read.follow = options.follow;
    read.docker_exact = !options.docker_exact.empty();
    read.since_once = options.docker_exact == docker_23;
    return read;
}

Result<LineFilter> line_filter(const LogsOptions& options) {
    LineFilter filter;
    if (options.only_stdout != options.only_stderr) {
        filter.streams = {options.only_stdout, options.only_stderr};
    }
    filter.writer = options.writer.filter();
    if (options.greps) {
        auto pattern = Pattern::compile(options.grep, options.ignore_case);
        if (!pattern) return fail(std::move(pattern).error());
        filter.pattern = std::move(*pattern);
    }
    filter.invert = options.invert;
    filter.context = options.context;
    return filter;
}

// What the command line says beside what CLI11 checks. The error is one of usage.
Result<LogSession::Options> session_options(const LogsOptions& options) {
    LogSession::Options session;
    session.store = options.store;
    session.selection.containers = options.containers;
    session.selection.all = options.all;
    for (const std::string& text : options.labels) {
        auto label = LabelFilter::parse(text);
        if (!label) return fail(std::move(label).error());
        session.selection.labels.push_back(std::move(*label));
    }
    if (options.containers.empty() && !session.selection.is_open()) {
        return fail("CONTAINER", "none is given", "name one, or use --all or --label");
    }
    if (options.all && !(options.containers.empty() && options.labels.empty())) {
        return fail("--all", "it takes all containers, whatever else is named",
                    "leave it out, or names and --label");
    }
    auto filter = line_filter(options);
    if (!filter) return fail(std::move(filter).error());
    session.filter = std::move(*filter);
    if (options.form == "json") session.form = OutputForm::json;
    if (options.form == "raw") session.form = OutputForm::raw;
    if (session.form == OutputForm::raw) {
        const char* const extra = options.print.timestamps ? "--timestamps"
                                  : options.print.details  ? "--details"
                                  : options.writer.shown() && !options.writer.filter() ? "--writer"
                                                                                       : nullptr;
        if (extra != nullptr) {
            return fail(extra, "-o raw prints the bytes of the streams and nothing else",
                        "leave one of them out, or use -o json");
        }
    }
    const bool docker_exact = !options.docker_exact.empty();
    if (docker_exact && (options.containers.size() != 1 || session.selection.is_open() ||
                         session.filter.looks_at_lines() || session.form != OutputForm::short_)) {
        return fail("--docker-exact", "docker logs prints all lines of one container",
                    "leave out other containers, --grep, --writer=… and -o");
    }
    session.print = options.print;
    session.print.writer = options.writer.shown();
    session.print.docker_exact = docker_exact;
    session.print.loses_newlines = options.docker_exact == docker_20_10;
    if (!docker_exact) session.print.style = output_styles(options.raw);
    return session;
}

// One container as docker logs shows it: entry by entry, pieces of a line as they come.
Status print_one(const CatalogItem& item, const LogSession::Options& options, DaemonWatch& daemon) {
    auto reader = LogReader::open(item.directory, reader_options(options.read, options.filter));
    if (!reader) return pass_on(std::move(reader));
    PrintOptions print = options.print;
    print.subject = item.info.name;
    print.loses_newlines = print.loses_newlines && item.info.log_driver != "json-file";
    LogsPrinter printer(print);
    for (;;) {
        const auto step = reader->next();
        if (!step) {
            // What came before the failure is shown before it is told.
            if (auto flushed = printer.flush(); !flushed) return flushed;
            return fail(step.error());
        }
        switch (*step) {
            case LogReader::Step::entry:
                if (options.filter.shows(reader->entry().source)) printer.print(reader->entry());
                break;
            case LogReader::Step::damage:
                printer.print(reader->damage());
                break;
            case LogReader::Step::idle: {
                if (auto flushed = printer.flush(); !flushed) return flushed;
                const auto woken = reader->wait(daemon.fd(), STDOUT_FILENO);
                if (!woken) return fail(woken.error());
                if (*woken == DirectoryWatch::Wake::stop && !daemon.look()) return {};
                break;
            }
            case LogReader::Step::end:
                printer.finish();
                return printer.flush();
        }
        if (printer.output().size() < flush_size) continue;
        if (auto flushed = printer.flush(); !flushed) return flushed;
    }
}

// False: some of it could not be printed, which was told.
Result<bool> print_logs(LogSession::Options options) {
    auto catalog = read_catalog(options.store);
    if (!catalog) return pass_on(std::move(catalog));
    auto items = select_logs(*catalog, options.selection, options.read.follow);
    if (!items) return pass_on(std::move(items));
    bool all_read = true;
    if (options.selection.all) {
        for (const Error& error : catalog->unreadable) report(error);
        all_read = catalog->unreadable.empty();
    }
    const bool is_live = (options.read.follow && options.selection.is_open()) ||
                         std::any_of(items->begin(), items->end(), [](const CatalogItem& item) {
                             return item.info.state == ContainerState::running;
                         });
    // Docker has nothing of the kind to say.
    DaemonWatch daemon;
    if (is_live && !options.print.docker_exact) {
        daemon = DaemonWatch::start(options.store, options.read.follow);
    }
    options.names = items->size() > 1 || options.selection.is_open();
    const bool whole_lines = options.names || options.filter.looks_at_lines();
    if (!whole_lines && options.form == OutputForm::short_) {
        if (auto printed = print_one(items->front(), options, daemon); !printed) {
            return pass_on(std::move(printed));
        }
        return true;
    }
    options.print.whole_lines = whole_lines;
    LogSession session(std::move(options), std::move(daemon));
    auto printed = session.run(*items);
    if (!printed) return printed;
    return *printed && all_read;
}

int run_logs(const LogsOptions& options) {
    // A reader that has seen enough (head) ends the program quietly, by EPIPE.
    if (std::signal(SIGPIPE, SIG_IGN) == SIG_ERR) {
        return report(Error{"SIGPIPE", "cannot ignore it", errno, {}});
    }
    auto session = session_options(options);
    if (!session) {
        report(session.error());
        return exit_usage;
    }
    auto read = read_options(options);
    if (!read) return report(read.error());
    session->read = *read;
    const auto printed = print_logs(std::move(*session));
    if (printed) return *printed ? exit_ok : exit_failure;
    return printed.error().code == EPIPE ? exit_ok : report(printed.error());
}

}  // namespace

void register_logs(CLI::App& app, Action& chosen) {
    auto options = std::make_shared<LogsOptions>();
    CLI::App* command = app.add_subcommand(
        "logs", "Prints the logs of containers as docker logs does, or finds lines in them");
    command->add_flag("-f,--follow", options->follow,
                      "Go on until the containers end; with --all or --label for ever, and with "
                      "containers that come or start again");
    command->add_flag("-t,--timestamps", options->print.timestamps,
                      "Begin each line with its time in UTC");
    command
        ->add_option(
            "-n,--tail", options->tail,
            "Only so many lines from the end of each log, or up to --until; with --grep or "
            "--writer=NAME so many that match")
        ->type_name("N")
        ->capture_default_str();
    command
        ->add_option("--since", options->since,
                     "Only from this time on: 10m (ago), 2026-11-24T08:00, Unix seconds")
        ->type_name("TIME");
    command->add_option("--until", options->until, "Only up to this time")->type_name("TIME");
    command->add_flag("--details", options->print.details, "As docker logs: attributes first");
    command->add_flag("--all", options->all,
                      "All containers of the store, merged by time, each line with its "
                      "container's name; not with names or --label");
    command
        ->add_option("--label", options->labels,
                     "Containers with this label, KEY or KEY=VALUE, beside those that are named; "
                     "given several times: those that have all of the labels")
        ->type_name("LABEL")
        ->allow_extra_args(false);
    command->add_flag("--stdout", options->only_stdout, "Only what was written to stdout");
    command->add_flag("--stderr", options->only_stderr,
                      "Only what was written to stderr; it goes to stderr");
    add_writer_option(*command, options->writer);
    auto* const grep =
        command
            ->add_option("--grep", options->grep,
                         "Only lines that match this regular expression (RE2), cut lines as one")
            ->type_name("REGEX")
            ->each([options](const std::string&) { options->greps = true; });
    command->add_flag("-i,--ignore-case", options->ignore_case, "--grep takes a for A")
        ->needs(grep);
    command->add_flag("--invert", options->invert, "Only lines that --grep does not match")
        ->needs(grep);
    command->add_option("-C,--context", options->context, "With so many lines around each match")
        ->type_name("N")
        ->needs(grep);
    command
        ->add_option("-o,--output", options->form,
                     "short: as docker logs; json: an object a line, all on stdout; raw: the bytes "
                     "and nothing else, control bytes to a terminal, too")
        ->check(CLI::IsMember({"short", "json", "raw"}))
        ->capture_default_str();
    add_raw_option(*command, options->raw);
    command
        ->add_flag("--docker-exact{" + std::string(docker_20_10) + "}", options->docker_exact,
                   "Print what docker logs prints where it is odd: each piece of a cut line has a "
                   "time, gaps are not told, control bytes go to a terminal. As Docker 20.10, or "
                   "with --docker-exact=23 as 23 and later")
        ->check(CLI::IsMember({std::string(docker_20_10), std::string(docker_23)}));
    add_store_option(*command, options->store);
    command
        ->add_option("CONTAINER", options->containers,
                     "Names, ids, or beginnings of ids; several are merged by time, each line with "
                     "its container's name. With --label those that have it, too")
        ->type_name("");
    command->callback([&chosen, options] { chosen = [options] { return run_logs(*options); }; });
}

}  // namespace twinlog
