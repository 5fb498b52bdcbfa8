// Which containers the daemon has frozen at this moment, in a file in memory, so that whoever comes
// after a daemon that was killed lets them go on: a process that waits for its end, the next
// daemon, or `twinlog stop`.
#pragma once

#include <sys/types.h>

#include <set>
#include <string>
#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"

namespace twinlog {

// Not thread-safe.
class FrozenList {
 public:
    static Result<FrozenList> open(const std::string& store);
    FrozenList(FrozenList&&) = default;
    FrozenList& operator=(FrozenList&&) = delete;
    FrozenList(const FrozenList&) = delete;
    FrozenList& operator=(const FrozenList&) = delete;
    // The file goes, too, if nobody is on it.
    ~FrozenList();

    // Before it is frozen. path: Freezer::path().
    Status add(const std::string& path);
    // After it was thawed.
    Status remove(const std::string& path);

 private:
    FrozenList(std::string file, UniqueFd fd) : file_(std::move(file)), fd_(std::move(fd)) {}
    Status write();

    std::string file_;
    UniqueFd fd_;
    std::set<std::string> paths_;
};

// Thaws what a daemon that ended without a word has left frozen. Nothing happens where there is
// none.
Status thaw_left(const std::string& store);

// A child that does nothing but wait for this process's end, however that comes, and then calls
// thaw_left(). It must be made before threads are, and before anything is locked.
class ThawGuard {
 public:
    static Result<ThawGuard> start(const std::string& store);
    ThawGuard(ThawGuard&& other) noexcept;
    ThawGuard& operator=(ThawGuard&&) = delete;
    ThawGuard(const ThawGuard&) = delete;
    ThawGuard& operator=(const ThawGuard&) = delete;
    // Ends the child: the caller has thawed all by itself.
    ~ThawGuard();

 private:
    explicit ThawGuard(pid_t child) : child_(child) {}

    pid_t child_;
};

}  // namespace twinlog
