// Small readers of /proc (proc(5)). The parse functions are pure: text in, values out.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "container/rooted_file.h"

namespace twinlog {

// What twinlog needs of /proc/PID/stat.
struct ProcessStat {
    std::string comm;  // hostile: any bytes, parentheses and newlines included
    char state = '?';
    std::uint32_t ppid = 0;
    std::uint64_t start_ticks = 0;  // since boot, in 1/100 s (USER_HZ)

    bool operator==(const ProcessStat&) const = default;
};

// Paths of /proc/PID/cgroup, below the mount of each hierarchy and with a leading slash.
struct CgroupPaths {
    std::string v2;                         // empty: no version 2 hierarchy
    std::map<std::string, std::string> v1;  // by controller; a named hierarchy as "name=…"

    bool operator==(const CgroupPaths&) const = default;
};

// The groups that name a container: version 2 where the process is in one there, else version 1's
// memory or pids group, else "/". The kernel side chooses in the same order.
std::string naming_cgroup(const CgroupPaths& paths);

std::optional<ProcessStat> parse_process_stat(std::string_view text);
CgroupPaths parse_cgroup_paths(std::string_view text);
// Strings of a NUL separated list, as in cmdline and environ.
std::vector<std::string> parse_nul_list(std::string_view text);
// The real user id out of /proc/PID/status.
std::optional<uid_t> parse_status_uid(std::string_view text);
// The number out of a namespace link such as "pid:[4026531836]".
std::optional<std::uint32_t> parse_namespace_link(std::string_view text);

// One proc file system. All failures name the process: "pid 123: no such process".
class ProcFs {
 public:
    // Without agents, what a process can make hang is read by whoever asks for it.
    explicit ProcFs(std::string root = "/proc", FileAgents agents = {})
        : root_(std::move(root)), agents_(std::move(agents)) {}

    [[nodiscard]] Result<ProcessStat> stat(std::uint32_t pid) const;
    // False for a zombie too: it writes nothing more. With start_ticks not 0, also false if the pid
    // belongs to another process by now.
    [[nodiscard]] bool alive(std::uint32_t pid, std::uint64_t start_ticks = 0) const;
    [[nodiscard]] Result<std::string> comm(std::uint32_t pid) const;
    // These two are in the process's memory, and that may be a file of any file system.
    [[nodiscard]] Result<std::vector<std::string>> cmdline(std::uint32_t pid) const;
    [[nodiscard]] Result<std::vector<std::string>> environment(std::uint32_t pid) const;
    [[nodiscard]] Result<CgroupPaths> cgroups(std::uint32_t pid) const;
    // The user whom the process belongs to. Not the owner of /proc/PID: that is root for whoever
    // makes itself undumpable.
    [[nodiscard]] Result<uid_t> uid(std::uint32_t pid) const;
    // Whether it is root's and neither in a pid namespace of its own nor in a container's cgroup,
    // so that what it says is the host's own word.
    [[nodiscard]] bool speaks_for_host(std::uint32_t pid) const;
    // Inode number of a namespace; kind is a name in /proc/PID/ns: pid, mnt, …
    [[nodiscard]] Result<std::uint32_t> name_space(std::uint32_t pid, std::string_view kind) const;
    // Of the calling process.
    [[nodiscard]] Result<std::uint32_t> own_name_space(std::string_view kind) const;
    [[nodiscard]] Result<std::string> working_directory(std::uint32_t pid) const;
    // All processes, in no order; empty if /proc cannot be read.
    [[nodiscard]] std::vector<std::uint32_t> pids() const;
    // The files that a process sees, all users' of them.
    [[nodiscard]] FileRoot files_of(std::uint32_t pid) const;
    // The host's own, in directory.
    [[nodiscard]] FileRoot files_of_host(std::string directory) const;
    [[nodiscard]] const FileAgents& agents() const { return agents_; }

 private:
    [[nodiscard]] Result<std::string> read(std::uint32_t pid, std::string_view file) const;
    [[nodiscard]] Result<std::string> read_memory(std::uint32_t pid, std::string_view file) const;
    [[nodiscard]] Result<std::string> link(std::uint32_t pid, std::string_view file) const;
    [[nodiscard]] std::string path(std::uint32_t pid, std::string_view file) const;

    std::string root_;
    FileAgents agents_;
};

}  // namespace twinlog
