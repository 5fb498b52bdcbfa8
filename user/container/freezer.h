// Stops all processes of a container for a while and lets them go on, so that none of them can
// tell: the kernel's cgroup freezer.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"

namespace twinlog {

// Where the hierarchies are mounted that can freeze; empty: they are not.
struct FreezerMounts {
    std::string v2;
    std::string v1;

    bool operator==(const FreezerMounts&) const = default;
};

// Of the text of /proc/self/mountinfo (proc(5)).
FreezerMounts parse_freezer_mounts(std::string_view mountinfo);

// A cgroup path up to the group that bears the container's id; empty where none does.
std::string group_of_container(std::string_view cgroup, std::string_view id);

// Not thread-safe.
class Freezer {
 public:
    // cgroup: of a process of the container, below the hierarchy's mount. Only a group that bears
    // the container's id is taken: others hold more than the container. Version 2 where it has
    // processes there, which on hosts with both leaves version 1's freezer to `docker pause`.
    static Result<Freezer> of_container(std::string_view cgroup, const std::string& id);

    // The file that freezes; what thaw_left() of another process needs to know.
    [[nodiscard]] const std::string& path() const { return path_; }
    // Whether somebody else, as a rule `docker pause`, has frozen it already.
    Result<bool> is_frozen();
    // Returns before the last process has stopped: each one does when it leaves the kernel, which
    // it is made to do at once.
    Status freeze();
    Status thaw();
    // A file that path() named, in this or in another process's life. No error if it is gone.
    static Status thaw(const std::string& path);

 private:
    Freezer(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

    std::string path_;
    UniqueFd fd_;
};

}  // namespace twinlog
