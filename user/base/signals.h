// SIGTERM and SIGINT as a file descriptor, so that a loop can wait for them beside its work.
#pragma once

#include "base/result.h"
#include "base/unique_fd.h"

namespace twinlog {

class StopSignals {
 public:
    // Blocks both signals for the calling thread and those it starts; for the process's whole life.
    static Result<StopSignals> block();
    // Readable once a signal came. Owned by this object.
    [[nodiscard]] int fd() const { return fd_.get(); }
    // For a child process before exec: it must not inherit the blocked signals.
    static void unblock();

 private:
    explicit StopSignals(UniqueFd fd) : fd_(std::move(fd)) {}
    UniqueFd fd_;
};

}  // namespace twinlog
