#include "base/priority.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

using namespace twinlog;

namespace {

constexpr int failed = 99;
constexpr int may_not = 98;
constexpr uid_t nobody = 65534;

// The policy within, of a child without privileges and with such a right to real-time priority.
int policy_with(rlim_t right) {
    const pid_t child = ::fork();
    if (child == 0) {
        const rlimit limit{.rlim_cur = right, .rlim_max = right};
        if (::setrlimit(RLIMIT_RTPRIO, &limit) != 0) ::_exit(may_not);
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
    // Who has CAP_SYS_RESOURCE can give the right.
    const int with_right = policy_with(1);
    if (with_right == may_not) {
        WARN("nobody can be given the right to real-time priority here");
    } else {
        CHECK(with_right == SCHED_FIFO);
    }
}
