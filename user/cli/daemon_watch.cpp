#include "cli/daemon_watch.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

namespace twinlog {

namespace {

constexpr time_t look_interval_seconds = 2;
// A daemon that starts again, as after an upgrade, is no news.
constexpr std::uint32_t absences_to_tell = 2;
constexpr std::string_view waits_for_next =
    "the log is as of its end, and goes on with the next one";

}  // namespace

bool is_without_daemon(const Store& store) {
    const auto daemon = store.daemon_pid();
    return daemon && !*daemon;
}

void tell_no_daemon(std::string_view consequence) {
    const std::string note =
        "twinlog: no daemon runs with this store: " + std::string(consequence) + "\n";
    std::fwrite(note.data(), 1, note.size(), stderr);
}

DaemonWatch DaemonWatch::start(const std::string& store, bool follows) {
    DaemonWatch watch;
    auto opened = Store::open(store, /*create=*/false);
    if (!opened) return watch;
    watch.told_ = is_without_daemon(*opened);
    // On stderr is what the container wrote there, for scripts to compare: who waits for more has
    // to know, and else only who looks at it.
    if (watch.told_ && (follows || ::isatty(STDERR_FILENO) == 1)) {
        tell_no_daemon(follows ? waits_for_next : std::string_view("the log is as of its end"));
    }
    if (!follows) return watch;
    UniqueFd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
    const itimerspec times = {{look_interval_seconds, 0}, {look_interval_seconds, 0}};
    if (!timer.valid() || ::timerfd_settime(timer.get(), 0, &times, nullptr) != 0) return watch;
    watch.store_ = std::move(*opened);
    watch.timer_ = std::move(timer);
    return watch;
}

bool DaemonWatch::look() {
    std::uint64_t expirations = 0;
    if (!timer_.valid() || ::read(timer_.get(), &expirations, sizeof(expirations)) < 0)
        return false;
    absences_ = is_without_daemon(*store_) ? absences_ + 1 : 0;
    if (absences_ == 0) told_ = false;
    if (absences_ >= absences_to_tell && !std::exchange(told_, true)) {
        tell_no_daemon(waits_for_next);
    }
    return true;
}

}  // namespace twinlog
