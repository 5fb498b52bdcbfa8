// From the names of a process's cgroup to the container that it is.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace twinlog {

struct ContainerIdentity {
    std::string id;       // always a safe file name, see safe_id()
    std::string runtime;  // docker, podman, containerd, cri-o, lxc; empty: the name does not tell

    bool operator==(const ContainerIdentity&) const = default;
};

// Whether text is 64 lower-case hex digits, the form of Docker's ids.
bool is_full_id(std::string_view text);

// The last `count` names of an absolute cgroup path, leaf first; views into path.
std::vector<std::string_view> cgroup_levels(std::string_view path, std::size_t count = 4);

// The container a process belongs to. levels: names of its cgroup, leaf first (the kernel's root is
// "" or "/"); ns_pid and level: its pid in its pid namespace and that namespace's depth, 0 for the
// host's; pidns: inode number of the namespace, higher bits are ignored. The innermost name with an
// id decides. Nothing for processes that are no container: without an id in the name and in the
// host's pid namespace or not its first process; and for conmon, whose groups bear the ids of its
// containers.
std::optional<ContainerIdentity> identify(std::span<const std::string_view> levels,
                                          std::uint32_t ns_pid, std::uint32_t level,
                                          std::uint64_t pidns);

// The id of a container that only its pid namespace marks.
std::string pid_namespace_id(std::uint64_t pidns);

}  // namespace twinlog
