// twinlog stop: ends the daemon of a store and waits until it is gone.
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
#include "daemon/frozen.h"
#include "store/store.h"

namespace twinlog {

namespace {

// Pins last: without them the next one would find nothing to stop.
Status remove_capture(Pins& pins) {
    if (auto removed = remove_spill_in_memory(pins); !removed) return removed;
    return pins.remove();
}

Status stop(const std::string& path) {
    auto store = Store::open(path, /*create=*/false);
    if (!store) return pass_on(std::move(store));
    auto daemon = store->daemon_pid();
    if (!daemon) return pass_on(std::move(daemon));
    auto pins = Pins::of_store(path);
    if (!pins) return pass_on(std::move(pins));
    if (!daemon->has_value()) {
        if (auto thawed = thaw_left(path); !thawed) return thawed;
        if (!pins->exist()) return fail(path, "no twinlog daemon runs with this store");
        // One that ended without a word, or was told to keep the capture.
        return remove_capture(*pins);
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
    return pins->exist() ? remove_capture(*pins) : Status{};
}

}  // namespace

void register_stop(CLI::App& app, Action& chosen) {
    auto store = std::make_shared<std::string>("/var/lib/twinlog");
    CLI::App* command =
        app.add_subcommand("stop", "Ends the running daemon, and the capture that a dead one left");
    add_store_option(*command, *store);
    // The daemon's own file, of which only the store matters here.
    add_config_option(*command, UnknownNames::ignored);
    command->callback([&chosen, store] {
        chosen = [store] {
            if (auto stopped = stop(*store); !stopped) return report(stopped.error());
            return exit_ok;
        };
    });
}

}  // namespace twinlog
