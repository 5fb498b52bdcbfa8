// To whom the place in the tree of cgroups belongs where a group was made.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace twinlog {

// The user who could make the group, because one of the directories above it was given to him; none
// where all of them are root's. The group may be gone: what was given to a user he cannot remove.
// Its own directory does not count: runtimes give it to the root of the container's user namespace.
// group: a path below the mount of its hierarchy.
std::optional<uid_t> delegated_to(const std::string& group,
                                  const std::string& mounts = "/sys/fs/cgroup");

}  // namespace twinlog
