// Documentation/admin-guide/cgroup-v2.rst (cgroup.freeze) and cgroup-v1/freezer-subsystem.rst.
#include "container/freezer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

#include "base/file_system.h"

namespace twinlog {

namespace {

constexpr std::string_view v2_file = "cgroup.freeze";
constexpr std::string_view v1_file = "freezer.state";
constexpr std::size_t max_mountinfo = std::size_t{4} << 20;
constexpr std::size_t max_events_file = 4096;

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(separator), text.size());
        parts.push_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return parts;
}

bool is_v2(std::string_view path) {
    return path.ends_with(v2_file);
}

Status write_word(int fd, const std::string& path, std::string_view word, const char* what) {
    if (::pwrite(fd, word.data(), word.size(), 0) < 0) return fail_errno(path, what);
    return {};
}

Status thaw_fd(int fd, const std::string& path) {
    return write_word(fd, path, is_v2(path) ? "0" : "THAWED", "letting its processes go on");
}

// On hosts with both versions the group may be there without being used.
bool has_processes(const std::string& v2_group) {
    const auto events = read_file(v2_group + "/cgroup.events", max_events_file);
    return events && events->find("populated 1") != std::string::npos;
}

}  // namespace

FreezerMounts parse_freezer_mounts(std::string_view mountinfo) {
    constexpr std::size_t root_field = 3;
    constexpr std::size_t point_field = 4;
    FreezerMounts mounts;
    for (const std::string_view line : split(mountinfo, '\n')) {
        // Optional fields end with a lone dash; type, source and the file system's options follow.
        const std::size_t dash = line.find(" - ");
        if (dash == std::string_view::npos) continue;
        const auto fields = split(line.substr(0, dash), ' ');
        const auto rest = split(line.substr(dash + 3), ' ');
        if (fields.size() <= point_field || fields[root_field] != "/" || rest.size() < 3) continue;
        std::string* found = nullptr;
        if (rest[0] == "cgroup2") found = &mounts.v2;
        if (rest[0] == "cgroup") {
            for (const std::string_view option : split(rest[2], ',')) {
                if (option == "freezer") found = &mounts.v1;
            }
        }
        if (found != nullptr && found->empty()) *found = fields[point_field];
    }
    return mounts;
}

std::string group_of_container(std::string_view cgroup, std::string_view id) {
    std::size_t begin = 0;
    while (!id.empty() && begin < cgroup.size()) {
        const std::size_t end = std::min(cgroup.find('/', begin + 1), cgroup.size());
        if (cgroup.substr(begin, end - begin).find(id) != std::string_view::npos) {
            return std::string(cgroup.substr(0, end));
        }
        begin = end;
    }
    return {};
}

Result<Freezer> Freezer::of_container(std::string_view cgroup, const std::string& id) {
    const std::string group = group_of_container(cgroup, id);
    if (group.empty()) return fail(std::string(cgroup), "no cgroup here is this container's alone");
    const auto mountinfo = read_file("/proc/self/mountinfo", max_mountinfo);
    if (!mountinfo) return fail(mountinfo.error());
    const FreezerMounts mounts = parse_freezer_mounts(*mountinfo);
    std::string path = mounts.v2 + group;
    if (mounts.v2.empty() || !has_processes(path)) {
        if (mounts.v1.empty()) return fail(group, "no hierarchy is mounted that can freeze it");
        path = mounts.v1 + group + "/" + std::string(v1_file);
    } else {
        path += "/" + std::string(v2_file);
    }
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    if (!fd.valid()) return fail_errno(path, "opening it");
    return Freezer(std::move(path), std::move(fd));
}

Result<bool> Freezer::is_frozen() {
    std::array<char, 16> word{};
    const ssize_t got = ::pread(fd_.get(), word.data(), word.size(), 0);
    if (got < 0) return fail_errno(path_, "reading it");
    const std::string_view text(word.data(), static_cast<std::size_t>(got));
    return is_v2(path_) ? !text.starts_with('0') : !text.starts_with("THAWED");
}

Status Freezer::freeze() {
    return write_word(fd_.get(), path_, is_v2(path_) ? "1" : "FROZEN", "stopping its processes");
}

Status Freezer::thaw() {
    return thaw_fd(fd_.get(), path_);
}

Status Freezer::thaw(const std::string& path) {
    const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!fd.valid()) {
        if (errno == ENOENT) return {};
        return fail_errno(path, "opening it");
    }
    return thaw_fd(fd.get(), path);
}

}  // namespace twinlog
