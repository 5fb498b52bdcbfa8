#include "base/priority.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace twinlog {

namespace {

constexpr int front_nice = -15;

sched_param lowest_of(int policy) {
    return {.sched_priority = ::sched_get_priority_min(policy)};
}

int set_policy(int policy) {
    const sched_param lowest = lowest_of(policy);
    return ::pthread_setschedparam(::pthread_self(), policy, &lowest);
}

}  // namespace

Status run_before_others() {
    const int refused = set_policy(SCHED_FIFO);
    if (refused == 0) return {};
    // Of this thread alone, as Linux does it.
    ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), front_nice);
    errno = refused;
    return fail_errno("real-time priority", "taking it");
}

void keep_right_to_run_before_others() {
    const auto needed = static_cast<rlim_t>(lowest_of(SCHED_FIFO).sched_priority);
    rlimit right{};
    if (::getrlimit(RLIMIT_RTPRIO, &right) != 0 || right.rlim_cur >= needed) return;
    right.rlim_cur = needed;
    right.rlim_max = std::max(right.rlim_max, needed);
    ::setrlimit(RLIMIT_RTPRIO, &right);
}

BeforeOthers::BeforeOthers() {
    int policy = 0;
    sched_param now{};
    if (::pthread_getschedparam(::pthread_self(), &policy, &now) != 0) return;
    raised_ = policy == SCHED_OTHER && set_policy(SCHED_FIFO) == 0;
}

BeforeOthers::~BeforeOthers() {
    if (raised_) set_policy(SCHED_OTHER);
}

PriorityMutex::PriorityMutex() {
    pthread_mutexattr_t attributes;
    ::pthread_mutexattr_init(&attributes);
    ::pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
    ::pthread_mutex_init(&mutex_, &attributes);
    ::pthread_mutexattr_destroy(&attributes);
}

}  // namespace twinlog
