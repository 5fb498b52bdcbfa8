// For the few threads that may not come late: what they do is short, and what they miss is lost.
#pragma once

#include <pthread.h>

#include "base/result.h"

namespace twinlog {

// Puts the calling thread before all that are not of real-time priority, among these last. The
// right to it is CAP_SYS_NICE or a RLIMIT_RTPRIO of 1. Without, the thread goes as far to the front
// as it may by its nice value, and the error says why.
Status run_before_others();

// Lets this process do so later, too, when its capabilities are gone, if they allow that now.
void keep_right_to_run_before_others();

// While it lives, the calling thread runs so, if it may.
class BeforeOthers {
 public:
    BeforeOthers();
    ~BeforeOthers();
    BeforeOthers(const BeforeOthers&) = delete;
    BeforeOthers& operator=(const BeforeOthers&) = delete;

 private:
    bool raised_ = false;
};

// As std::mutex, but whoever holds it while such a thread waits runs at that one's priority: else
// all others would come first, and the wait would have no end. Never destroyed while it is held.
class PriorityMutex {
 public:
    PriorityMutex();
    ~PriorityMutex() { ::pthread_mutex_destroy(&mutex_); }
    PriorityMutex(const PriorityMutex&) = delete;
    PriorityMutex& operator=(const PriorityMutex&) = delete;

    // The names that std::unique_lock asks for.
    void lock() { ::pthread_mutex_lock(&mutex_); }
    bool try_lock() { return ::pthread_mutex_trylock(&mutex_) == 0; }
    void unlock() { ::pthread_mutex_unlock(&mutex_); }

 private:
    pthread_mutex_t mutex_;
};

}  // namespace twinlog
