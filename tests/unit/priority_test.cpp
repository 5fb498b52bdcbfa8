#include "base/priority.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

using namespace twinlog;

namespace {

constexpr int failed = 99;
constexpr uid_t nobody = 65534;

// The policy within, of a child without privileges and with such a right to real-time priority.
int policy_with(rlim_t right) {
    const pid_t child = ::fork();
    if (child == 0) {
        const rlimit limit{.rlim_cur = right, .rlim_max = right};
        if (::setrlimit(RLIMIT_RTPRIO, &limit) != 0) ::_exit(failed);
        if (::geteuid() == 0 && ::setresuid(nobody, nobody, nobody) != 0) ::_exit(failed);
        int within = failed;
        {
            const BeforeOthers first;
            { const BeforeOthers again; }
            within = ::sched_getscheduler(0);
        }
        ::_exit(::sched_getscheduler(0) == SCHED_OTHER ? within : failed);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : failed;
}

}  // namespace

TEST_CASE("a thread runs before others for a while, if it may", "[priority]") {
    CHECK(policy_with(0) == SCHED_OTHER);
    // Only root can give the right.
    if (::geteuid() == 0) CHECK(policy_with(1) == SCHED_FIFO);
}
