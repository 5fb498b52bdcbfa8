#include "base/priority.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>

namespace twinlog {

namespace {

constexpr int front_nice = -15;

}  // namespace

Status run_before_others() {
    const sched_param lowest{.sched_priority = ::sched_get_priority_min(SCHED_FIFO)};
    const int refused = ::pthread_setschedparam(::pthread_self(), SCHED_FIFO, &lowest);
    if (refused == 0) return {};
    // Of this thread alone, as Linux does it.
    ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), front_nice);
    errno = refused;
    return fail_errno("real-time priority", "taking it");
}

PriorityMutex::PriorityMutex() {
    pthread_mutexattr_t attributes;
    ::pthread_mutexattr_init(&attributes);
    ::pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
    ::pthread_mutex_init(&mutex_, &attributes);
    ::pthread_mutexattr_destroy(&attributes);
}

}  // namespace twinlog
