// twinlog run: the daemon.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/byte_size.h"
#include "base/docker_time.h"
#include "base/workers.h"
#include "cli/command.h"
#include "cli/command_line.h"
#include "cli/config_file.h"
#include "cli/run_options.h"
#include "cli/usage_error.h"
#include "container/registry.h"
#include "daemon/daemon.h"
#include "store/housekeeper.h"

namespace twinlog {

namespace {

struct Arguments {
    std::string store = "/var/lib/twinlog";
    std::vector<std::string> containers;
    std::vector<std::uint32_t> pids;
    std::string backend = "auto";
    std::string max_size = "20m";
    std::string ring_size = "64m";
    std::string spill = "8g";
    std::string spill_memory = "256m";
    std::string on_stop = "detach";
    std::string overload = "gap";
    bool finish = false;
    int max_file = 5;
    std::string max_by_label = "1g";
    std::vector<std::string> formats = {"local"};
    bool compress = true;
    bool asks_to_compress = false;  // it is not only so by default
    std::string pods;
    std::vector<std::string> labels;
    std::string max_total;
    std::string max_age;
    std::string keep_removed;
};

// BPF rings have a power of two of pages; more than 1 GiB would be memory that nothing else can
// use.
constexpr std::uint64_t min_ring = 4ULL << 20;
constexpr std::uint64_t max_ring = 1ULL << 30;
// Fewer chunks could not be shared out; more would need a table of more than some hundred MB.
constexpr std::uint64_t min_spill = 16ULL << 20;
constexpr std::uint64_t min_spill_memory = 1ULL << 20;
constexpr std::uint64_t max_spill = 1ULL << 40;

// A Go duration, or a number of days: 36h, 90m, 7d. In ns.
Result<std::int64_t> parse_span(const std::string& option, const std::string& text) {
    std::string hours = text;
    const bool days = text.ends_with('d');
    if (days) hours.back() = 'h';
    // Against the time 0, a span ago is its negative.
    const auto time = parse_docker_time(option, hours, TimeReference{});
    const bool is_span = time && *time && **time <= 0 && text.find('T') == std::string::npos;
    constexpr std::int64_t hours_of_day = 24;
    std::int64_t span = is_span ? -**time : 0;
    if (!is_span || (days && __builtin_mul_overflow(span, hours_of_day, &span))) {
        return fail("--" + option + " " + text, "this is no span of time",
                    "for example 36h, 90m or 7d");
    }
    return span;
}

Status add_retention(const Arguments& arguments, LogWriter::Options& log) {
    Retention retention;
    retention.store = arguments.store;
    retention.pods = log.pods;
    if (!arguments.max_total.empty()) {
        auto total = parse_decimal_size(arguments.max_total);
        if (!total) {
            return fail("--max-total " + arguments.max_total, total.error().message(),
                        "for example 10g");
        }
        retention.max_total = *total;
    }
    if (!arguments.max_age.empty()) {
        auto age = parse_span("max-age", arguments.max_age);
        if (!age) return pass_on(std::move(age));
        retention.max_age_ns = *age;
    }
    if (!arguments.keep_removed.empty()) {
        auto kept = parse_span("keep-removed", arguments.keep_removed);
        if (!kept) return pass_on(std::move(kept));
        retention.keep_removed_ns = *kept;
    }
    // Its own: it is asked from another thread.
    auto registry = std::make_shared<Registry>(Registry::of_host());
    log.housekeeper = std::make_shared<Housekeeper>(
        std::move(retention), [registry = std::move(registry)](const ContainerInfo& info) {
            return registry->presence(info) == Presence::removed;
        });
    return {};
}

std::vector<std::string> format_names() {
    std::vector<std::string> names;
    for (const LogFormat* format : formats()) names.emplace_back(format->name());
    return names;
}

// CLI11's own lists pass over what is empty between two commas.
Result<std::vector<std::string>> split_labels(const std::vector<std::string>& lists) {
    std::vector<std::string> labels;
    for (const std::string& list : lists) {
        for (std::size_t begin = 0; begin <= list.size();) {
            const std::size_t end = std::min(list.find(',', begin), list.size());
            if (end == begin) {
                return fail("--labels \"" + list + "\"", "a label is empty",
                            "for example app,team");
            }
            labels.push_back(list.substr(begin, end - begin));
            begin = end + 1;
        }
    }
    return labels;
}

Status add_formats(const Arguments& arguments, LogWriter::Options& log) {
    for (const std::string& name : arguments.formats) {
        auto format = find_format(name);
        if (!format) return pass_on(std::move(format));
        const bool cached = *format == formats().front();
        const bool again =
            std::find(log.copies.begin(), log.copies.end(), *format) != log.copies.end();
        if (!cached && !again) log.copies.push_back(*format);
    }
    // Beside the daemon's own thread, as far as the host has processors.
    const unsigned others = std::max(std::thread::hardware_concurrency(), 1U) - 1;
    log.workers = std::make_shared<Workers>(others);
    log.pods = arguments.pods.empty() ? arguments.store + "/pods" : arguments.pods;
    auto labels = split_labels(arguments.labels);
    if (!labels) return pass_on(std::move(labels));
    log.labels = std::move(*labels);
    log.compress = arguments.compress;
    return {};
}

Result<DaemonOptions> to_options(const Arguments& arguments) {
    DaemonOptions options;
    options.store = arguments.store;
    options.selection = {arguments.containers, arguments.pids};
    // All ids begin so: an unset variable of a shell would capture the whole host.
    const auto& names = arguments.containers;
    if (std::find(names.begin(), names.end(), "") != names.end()) {
        return fail("--container", "a name cannot be empty", "without the option all are captured");
    }
    auto max_size = arguments.max_size == "-1" ? Result<std::uint64_t>(0)
                                               : parse_decimal_size(arguments.max_size);
    if (!max_size) {
        return fail("--max-size " + arguments.max_size, max_size.error().message(),
                    "for example 20m, or -1: no limit");
    }
    options.log.max_size = static_cast<std::int64_t>(*max_size);
    if (arguments.max_file < 1) {
        return fail("--max-file", "max-file cannot be less than 1");
    }
    options.log.max_file = arguments.max_file;
    if (arguments.max_file == 1 && arguments.asks_to_compress) {
        return fail("--compress", "compression cannot be enabled when max file count is 1",
                    "leave it out, or --max-file 2 and more");
    }
    auto max_by_label = parse_decimal_size(arguments.max_by_label);
    if (!max_by_label) {
        return fail("--max-by-label " + arguments.max_by_label, max_by_label.error().message(),
                    "for example 1g, or 0");
    }
    options.log.max_by_label = *max_by_label;
    if (auto added = add_formats(arguments, options.log); !added) return pass_on(std::move(added));
    if (auto added = add_retention(arguments, options.log); !added) {
        return pass_on(std::move(added));
    }
    auto ring = parse_binary_size(arguments.ring_size);
    if (!ring)
        return fail("--ring-size " + arguments.ring_size, ring.error().message(),
                    "for example 64m");
    if (*ring < min_ring || *ring > max_ring || (*ring & (*ring - 1)) != 0) {
        return fail("--ring-size " + arguments.ring_size, "not a power of two from 4m to 1g");
    }
    options.capture.ring_size = *ring;
    auto spill = parse_binary_size(arguments.spill);
    if (!spill) {
        return fail("--spill " + arguments.spill, spill.error().message(), "for example 8g, or 0");
    }
    if ((*spill != 0 && *spill < min_spill) || *spill > max_spill) {
        return fail("--spill " + arguments.spill, "not from 16m to 1t, nor 0: none");
    }
    options.capture.spill.limit = *spill;
    const std::string subject = "--spill-memory " + arguments.spill_memory;
    auto memory = parse_binary_size(arguments.spill_memory);
    if (!memory) return fail(subject, memory.error().message(), "for example 256m, or 0");
    if ((*memory != 0 && *memory < min_spill_memory) || *memory > max_spill) {
        return fail(subject, "not from 1m to 1t, nor 0: none");
    }
    options.capture.spill_memory.limit = *memory;
    auto backend = find_backend(arguments.backend);
    if (!backend) return pass_on(std::move(backend));
    options.capture.backend = *backend;
    options.on_stop = arguments.on_stop == "keep" ? OnStop::keep : OnStop::detach;
    options.overload = arguments.overload == "throttle" ? Overload::throttle : Overload::gap;
    options.capture.new_containers = options.selection.new_containers();
    return options;
}

CLI::App* add_command(CLI::App& app, Arguments& arguments);

// The options as the same command line and the configuration file give them now.
Result<DaemonOptions> read_again(const std::vector<std::string>& command_line) {
    CLI::App app{"", "twinlog"};
    Arguments arguments;
    add_command(app, arguments);
    // What stands before the command's name is about messages.
    const auto name = std::find(command_line.begin(), command_line.end(), "run");
    try {
        parse_words(app, {name, command_line.end()});
    } catch (const CLI::ParseError& error) {
        return fail(usage_error(app, error));
    }
    return to_options(arguments);
}

int run(const Arguments& arguments, const std::vector<std::string>& command_line) {
    auto options = to_options(arguments);
    if (!options) {
        report(options.error());
        return exit_usage;
    }
    options->read_again = [&command_line] { return read_again(command_line); };
    const auto ran = arguments.finish ? finish_former_daemon(*options) : run_daemon(*options);
    return ran ? exit_ok : report(ran.error());
}

CLI::App* add_command(CLI::App& app, Arguments& arguments) {
    CLI::App* command = app.add_subcommand("run", "Captures containers until SIGTERM or SIGINT");
    add_store_option(*command, arguments.store);
    command
        ->add_option("--container", arguments.containers,
                     "Only this container: its name, or its id; of a beginning of ids all "
                     "containers that have it; may be repeated")
        ->type_name("CONTAINER")
        ->allow_extra_args(false);
    command
        ->add_option("--pid", arguments.pids,
                     "Only stdout and stderr of this process; may be repeated")
        ->type_name("PID")
        ->allow_extra_args(false);
    command->add_option("--backend", arguments.backend, "How writes are seen")
        ->check(CLI::IsMember({"auto", "tracepoint", "fentry"}))
        ->capture_default_str();
    command
        ->add_option("--max-size", arguments.max_size,
                     "The maximum size of a log before it is rotated: a number and k, m or g; -1: "
                     "unlimited")
        ->type_name("SIZE")
        ->capture_default_str();
    command
        ->add_option(
            "--max-file", arguments.max_file,
            "The maximum number of files of a log; if rotation makes one more, the oldest is "
            "removed")
        ->type_name("N")
        ->capture_default_str();
    command
        ->add_option("--max-by-label", arguments.max_by_label,
                     "How large a log may become because its container has the labels "
                     "twinlog.max-size and twinlog.max-file, which are as --max-size and "
                     "--max-file, each file counted; 0: no larger than others")
        ->type_name("SIZE")
        ->capture_default_str();
    command
        ->add_option("--format", arguments.formats,
                     "Formats to write, separated by commas: local, json-file, cri, raw; local is "
                     "always written, because logs reads it")
        ->type_name("LIST")
        ->delimiter(',')
        ->allow_extra_args(false)
        ->check(CLI::IsMember(format_names()))
        ->capture_default_str();
    command
        ->add_flag("--compress,!--no-compress", arguments.compress,
                   "Compress rotated log files; with --max-file 1 there are none")
        ->each([&arguments](const std::string& value) {
            arguments.asks_to_compress = value == "true";
        });
    command
        ->add_option("--cri-root", arguments.pods,
                     "Directory of logs in CRI's layout; not one that a kubelet writes to. "
                     "Without it: pods in the store")
        ->type_name("DIR");
    command
        ->add_option("--labels", arguments.labels,
                     "Labels of containers that become attributes of their entries, separated by "
                     "commas")
        ->type_name("LIST")
        ->allow_extra_args(false);
    command
        ->add_option("--max-total", arguments.max_total,
                     "The maximum size of all logs; the oldest rotated files of the biggest "
                     "containers are removed first, then the logs of containers that have ended, "
                     "those that ended first before others. Files that are being written to stay")
        ->type_name("SIZE");
    command
        ->add_option(
            "--max-age", arguments.max_age,
            "The maximum age of rotated files, and of all files of ended containers, since "
            "they were written to: 36h, 7d. A container of which nothing is left goes with its "
            "runtime's")
        ->type_name("SPAN");
    command
        ->add_option("--keep-removed", arguments.keep_removed,
                     "How long after its end the logs of a container are kept that its runtime "
                     "has removed; where that cannot be known, as with containerd, they stay; "
                     "without it: for ever")
        ->type_name("SPAN");
    command
        ->add_option("--ring-size", arguments.ring_size,
                     "Buffer between kernel and daemon: a power of two")
        ->type_name("SIZE")
        ->capture_default_str();
    command
        ->add_option(
            "--spill", arguments.spill,
            "Bytes of disk in the store for what comes faster than it can be written, for as "
            "long as it waits; the last twentieth of the disk, or GiB, is not used; 0: what "
            "the buffer has no room for is lost")
        ->type_name("SIZE")
        ->capture_default_str();
    command
        ->add_option("--spill-memory", arguments.spill_memory,
                     "Bytes of memory that are used for that before the disk is, of /run no more "
                     "than a quarter")
        ->type_name("SIZE")
        ->capture_default_str();
    command
        ->add_option(
            "--on-stop", arguments.on_stop,
            "detach: capture ends with the daemon; keep: it waits in the kernel's ring for "
            "the next one")
        ->check(CLI::IsMember({"detach", "keep"}))
        ->capture_default_str();
    command
        ->add_option("--overload", arguments.overload,
                     "What happens to a container that writes faster than its log can be written. "
                     "gap: bytes are missing from its log, which tells how many; throttle: it is "
                     "slowed down")
        ->check(CLI::IsMember({"gap", "throttle"}))
        ->capture_default_str();
    // Not in a configuration file: with it a service would end as soon as it has started.
    command
        ->add_flag("--finish", arguments.finish,
                   "Only write what a former daemon left in the kernel to the logs, end its "
                   "capture for good, and exit")
        ->configurable(false);
    add_config_option(*command, UnknownNames::refused);
    return command;
}

}  // namespace

Result<DaemonOptions> run_options(const std::string& store, const std::string& config) {
    std::vector<std::string> words = {"run", "--store", store};
    if (!config.empty()) words.insert(words.end(), {"--config", config});
    return read_again(words);
}

void register_run(CLI::App& app, Action& chosen, std::vector<std::string> command_line) {
    auto arguments = std::make_shared<Arguments>();
    add_command(app, *arguments)->callback([&chosen, arguments, words = std::move(command_line)] {
        chosen = [arguments, words] { return run(*arguments, words); };
    });
}

}  // namespace twinlog
