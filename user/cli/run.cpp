// twinlog run: the daemon.
#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "base/byte_size.h"
#include "cli/command.h"
#include "daemon/daemon.h"

namespace twinlog {

namespace {

struct Arguments {
    std::string store = "/var/lib/twinlog";
    std::vector<std::string> containers;
    std::vector<std::uint32_t> pids;
    std::string backend = "auto";
    std::string max_size = "20m";
    std::string ring_size = "64m";
    int max_file = 5;
};

// BPF rings have a power of two of pages; more than 1 GiB would be memory that nothing else can
// use.
constexpr std::uint64_t min_ring = 4ULL << 20;
constexpr std::uint64_t max_ring = 1ULL << 30;

Result<DaemonOptions> to_options(const Arguments& arguments) {
    DaemonOptions options;
    options.store = arguments.store;
    options.selection = {arguments.containers, arguments.pids};
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
    auto ring = parse_binary_size(arguments.ring_size);
    if (!ring)
        return fail("--ring-size " + arguments.ring_size, ring.error().message(),
                    "for example 64m");
    if (*ring < min_ring || *ring > max_ring || (*ring & (*ring - 1)) != 0) {
        return fail("--ring-size " + arguments.ring_size, "not a power of two from 4m to 1g");
    }
    options.capture.ring_size = *ring;
    options.capture.new_containers = options.selection.new_containers();
    return options;
}

int run(const Arguments& arguments) {
    auto options = to_options(arguments);
    if (!options) {
        report(options.error());
        return exit_usage;
    }
    if (auto ran = run_daemon(*options); !ran) return report(ran.error());
    return exit_ok;
}

}  // namespace

void register_run(CLI::App& app, Action& chosen) {
    auto arguments = std::make_shared<Arguments>();
    CLI::App* command = app.add_subcommand("run", "Captures containers until SIGTERM or SIGINT");
    add_store_option(*command, arguments->store);
    command->add_option("--container", arguments->containers,
                        "Only this container: name, id or id prefix; may be repeated");
    command->add_option("--pid", arguments->pids,
                        "Only stdout and stderr of this process; may be repeated");
    command->add_option("--backend", arguments->backend, "How writes are seen")
        ->check(CLI::IsMember({"auto", "tracepoint"}))
        ->capture_default_str();
    command
        ->add_option("--max-size", arguments->max_size,
                     "A log is rotated when it has this size; -1: never")
        ->capture_default_str();
    command->add_option("--max-file", arguments->max_file, "How many files a log may have")
        ->capture_default_str();
    command
        ->add_option("--ring-size", arguments->ring_size,
                     "Buffer between kernel and daemon: a power of two")
        ->capture_default_str();
    command->set_config("--config", "", "Read options from this file");
    command->callback([&chosen, arguments] { chosen = [arguments] { return run(*arguments); }; });
}

}  // namespace twinlog
