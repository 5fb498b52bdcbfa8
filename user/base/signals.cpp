#include "base/signals.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>

namespace twinlog {

namespace {

sigset_t stop_set() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    return set;
}

}  // namespace

Result<StopSignals> StopSignals::block(std::initializer_list<int> others) {
    sigset_t set = stop_set();
    for (const int signal : others) sigaddset(&set, signal);
    if (::sigprocmask(SIG_BLOCK, &set, nullptr) != 0) {
        return fail_errno("SIGTERM, SIGINT", "blocking them");
    }
    UniqueFd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!fd.valid()) return fail_errno("SIGTERM, SIGINT", "waiting for them");
    return StopSignals(std::move(fd));
}

int StopSignals::take() const {
    signalfd_siginfo came{};
    const bool one = ::read(fd_.get(), &came, sizeof(came)) == sizeof(came);
    return one ? static_cast<int>(came.ssi_signo) : 0;
}

void StopSignals::unblock() {
    const sigset_t set = stop_set();
    ::sigprocmask(SIG_UNBLOCK, &set, nullptr);
}

}  // namespace twinlog
