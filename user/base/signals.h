// SIGTERM, SIGINT and others as a file descriptor, so that a loop can wait for them beside its
// work.
#pragma once

#include <initializer_list>

#include "base/result.h"
#include "base/unique_fd.h"

namespace twinlog {

class StopSignals {
 public:
    // Blocks both, and the others named, for the calling thread and those it starts; for the
    // process's whole life.
    static Result<StopSignals> block(std::initializer_list<int> others = {});
    // Readable while a signal waits. Owned by this object.
    [[nodiscard]] int fd() const { return fd_.get(); }
    // The next one that came, 0 if none waits.
    [[nodiscard]] int take() const;
    // For a child process before exec: it must not inherit the blocked signals.
    static void unblock();

 private:
    explicit StopSignals(UniqueFd fd) : fd_(std::move(fd)) {}
    UniqueFd fd_;
};

}  // namespace twinlog
