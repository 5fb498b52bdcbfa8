// twinlog stop: ends the daemon of a store, waits until it is gone, and writes to the logs what a
// dead one left in the kernel.
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <csignal>
#include <memory>
#include <string>

#include "base/unique_fd.h"
#include "capture/pins.h"
#include "capture/spill_place.h"
#include "cli/command.h"
#include "cli/config_file.h"
#include "cli/run_options.h"
#include "daemon/daemon.h"
#include "daemon/frozen.h"
#include "store/store.h"

namespace twinlog {

namespace {

// Pins last: without them the next one would find nothing to stop.
Status remove_capture(Pins& pins) {
    if (auto removed = remove_spill_in_memory(pins); !removed) return removed;
    return pins.remove();
}

struct Arguments {
    std::string store = "/var/lib/twinlog";
    std::shared_ptr<const std::string> config;
    bool discard = false;
};

// Of a daemon that ended without a word, or was told to keep the capture. If it fails, all stays
// where it is: nobody else has these bytes.
Status end_capture(const Arguments& arguments, Pins& pins) {
    if (arguments.discard) return remove_capture(pins);
    const auto options = run_options(arguments.store, *arguments.config);
    const Status finished = options ? finish_former_daemon(*options) : fail(options.error());
    if (finished) return pins.exist() ? remove_capture(pins) : Status{};
    Error error = finished.error();
    const std::string discard = "`twinlog stop --discard` throws it away";
    if (error.hint.empty()) error.hint = "`twinlog run` with this store goes on with it";
    if (error.hint.find("--discard") == std::string::npos) error.hint += "; " + discard;
    error.what = Error{std::move(error.subject), std::move(error.what), error.code, {}}.message();
    return fail(pins.directory(),
                "what was written while no daemon ran stays in the kernel, as it cannot be "
                "written to the logs: " +
                    error.what,
                std::move(error.hint));
}

Status stop(const Arguments& arguments) {
    const std::string& path = arguments.store;
    auto store = Store::open(path, /*create=*/false);
    if (!store) return pass_on(std::move(store));
    auto daemon = store->daemon_pid();
    if (!daemon) return pass_on(std::move(daemon));
    auto pins = Pins::of_store(path);
    if (!pins) return pass_on(std::move(pins));
    if (!daemon->has_value()) {
        if (auto thawed = thaw_left(path); !thawed) return thawed;
        if (!pins->exist()) return fail(path, "no twinlog daemon runs with this store");
        return end_capture(arguments, *pins);
    }
    const pid_t pid = **daemon;
    const std::string subject = "twinlog daemon " + std::to_string(pid);
    // Through a pidfd, so that no other process can get the signal.
    const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!process.valid()) return fail_errno(subject, "finding it");
    if (::syscall(SYS_pidfd_send_signal, process.get(), SIGTERM, nullptr, 0) != 0) {
        return fail_errno(subject, "sending it SIGTERM");
    }
    pollfd gone{.fd = process.get(), .events = POLLIN, .revents = 0};
    while (::poll(&gone, 1, -1) < 0) {
        if (errno != EINTR) return fail_errno(subject, "waiting for its end");
    }
    return pins->exist() ? end_capture(arguments, *pins) : Status{};
}

}  // namespace

void register_stop(CLI::App& app, Action& chosen) {
    auto arguments = std::make_shared<Arguments>();
    CLI::App* command = app.add_subcommand(
        "stop",
        "Ends the running daemon, and the capture that a dead one left, once that is in the logs");
    add_store_option(*command, arguments->store);
    // The daemon's own file: the store, and how logs are written.
    arguments->config = add_config_option(*command, UnknownNames::ignored);
    command
        ->add_flag("--discard", arguments->discard,
                   "Throw away what a dead daemon left in the kernel, instead of writing it to "
                   "the logs")
        ->configurable(false);
    command->callback([&chosen, arguments] {
        chosen = [arguments] {
            if (auto stopped = stop(*arguments); !stopped) return report(stopped.error());
            return exit_ok;
        };
    });
}

}  // namespace twinlog
