// Small readers of /proc (proc(5)).
#include "container/process.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <system_error>

#include "container/cgroup_name.h"

namespace twinlog {
namespace {

// A command line can have megabytes; what is looked for stands at its beginning.
constexpr std::size_t max_proc_file = 256UL * 1024;

template <class Number>
std::optional<Number> whole_number(std::string_view text) {
    Number number{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return number;
}

// Cuts the next piece off text, which is left with what follows the separator.
std::string_view take_until(std::string_view& text, char separator) {
    const std::size_t end = text.find(separator);
    const std::string_view piece = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    return piece;
}

std::string subject_of(std::uint32_t pid) {
    return "pid " + std::to_string(pid);
}

tl::unexpected<Error> unreadable(std::uint32_t pid, int code) {
    if (code == ENOENT || code == ESRCH) {
        return fail(subject_of(pid), "no such process",
                    "it may have ended; ps -e shows the pids of this host");
    }
    return fail(Error{subject_of(pid), "cannot read its state in /proc", code, "run as root"});
}

}  // namespace

std::string naming_cgroup(const CgroupPaths& paths) {
    if (paths.v2.size() > 1) return paths.v2;
    for (const char* controller : {"memory", "pids"}) {
        const auto found = paths.v1.find(controller);
        if (found != paths.v1.end() && found->second.size() > 1) return found->second;
    }
    return "/";
}

std::optional<ProcessStat> parse_process_stat(std::string_view text) {
    // comm may hold ") (" itself, but nothing behind it can hold a parenthesis.
    const std::size_t open = text.find('(');
    const std::size_t close = text.rfind(')');
    if (open == std::string_view::npos || close == std::string_view::npos || close < open) {
        return std::nullopt;
    }
    ProcessStat stat;
    stat.comm = text.substr(open + 1, close - open - 1);
    std::string_view rest = text.substr(close + 1);
    if (rest.empty() || rest.front() != ' ') return std::nullopt;
    rest.remove_prefix(1);
    // Fields as proc(5) numbers them; state is the third.
    constexpr int state_field = 3;
    constexpr int ppid_field = 4;
    constexpr int start_field = 22;
    for (int field = state_field; field <= start_field; ++field) {
        const std::string_view value = take_until(rest, ' ');
        if (value.empty()) return std::nullopt;
        if (field == state_field) stat.state = value.front();
        if (field == ppid_field) {
            const auto ppid = whole_number<std::uint32_t>(value);
            if (!ppid) return std::nullopt;
            stat.ppid = *ppid;
        }
        if (field == start_field) {
            const auto start = whole_number<std::uint64_t>(value);
            if (!start) return std::nullopt;
            stat.start_ticks = *start;
        }
    }
    return stat;
}

CgroupPaths parse_cgroup_paths(std::string_view text) {
    CgroupPaths paths;
    // The kernel lets no newline into a group's name, but it does let colons.
    while (!text.empty()) {
        std::string_view line = take_until(text, '\n');
        const std::string_view hierarchy = take_until(line, ':');
        std::string_view controllers = take_until(line, ':');
        constexpr std::string_view deleted = " (deleted)";
        if (line.ends_with(deleted)) line.remove_suffix(deleted.size());
        if (line.empty() || line.front() != '/') continue;
        if (hierarchy == "0" && controllers.empty()) {
            paths.v2 = line;
            continue;
        }
        while (!controllers.empty()) {
            paths.v1.emplace(take_until(controllers, ','), line);
        }
    }
    return paths;
}

std::vector<std::string> parse_nul_list(std::string_view text) {
    std::vector<std::string> list;
    while (!text.empty()) list.emplace_back(take_until(text, '\0'));
    return list;
}

std::optional<uid_t> parse_status_uid(std::string_view text) {
    // The kernel escapes newlines in the name line, so no process can fake this one.
    constexpr std::string_view key = "Uid:\t";
    while (!text.empty()) {
        std::string_view line = take_until(text, '\n');
        if (!line.starts_with(key)) continue;
        line.remove_prefix(key.size());
        return whole_number<uid_t>(take_until(line, '\t'));
    }
    return std::nullopt;
}

std::optional<std::uint32_t> parse_namespace_link(std::string_view text) {
    const std::size_t open = text.find(":[");
    if (open == std::string_view::npos || !text.ends_with(']')) return std::nullopt;
    return whole_number<std::uint32_t>(text.substr(open + 2, text.size() - open - 3));
}

std::string ProcFs::path(std::uint32_t pid, std::string_view file) const {
    return root_ + "/" + std::to_string(pid) + "/" + std::string(file);
}

Result<std::string> ProcFs::read(std::uint32_t pid, std::string_view file) const {
    UniqueFd fd(::open(path(pid, file).c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    if (!fd.valid()) return unreadable(pid, errno);
    auto text = read_at_most(fd, max_proc_file, path(pid, file));
    if (!text) return unreadable(pid, text.error().code);
    return text;
}

FileRoot ProcFs::files_of(std::uint32_t pid) const {
    FileRoot files;
    files.directory = path(pid, "root");
    if (!agents_.host) return files;
    files.agent = speaks_for_host(pid) ? agents_.host : agents_.others;
    const auto now = stat(pid);
    files.whom = {pid, now ? now->start_ticks : 0};
    return files;
}

FileRoot ProcFs::files_of_host(std::string directory) const {
    FileRoot files;
    files.directory = std::move(directory);
    files.agent = agents_.host;
    return files;
}

Result<std::string> ProcFs::read_memory(std::uint32_t pid, std::string_view file) const {
    if (!agents_.host) return read(pid, file);
    FileRoot files = files_of(pid);
    files.directory = root_;
    auto text = read_rooted(files, std::to_string(pid) + "/" + std::string(file), max_proc_file);
    if (!text) return unreadable(pid, text.error().code);
    return text;
}

Result<std::string> ProcFs::link(std::uint32_t pid, std::string_view file) const {
    std::error_code error;
    const std::filesystem::path target = std::filesystem::read_symlink(path(pid, file), error);
    if (error) return unreadable(pid, error.value());
    return target.string();
}

Result<ProcessStat> ProcFs::stat(std::uint32_t pid) const {
    auto text = read(pid, "stat");
    if (!text) return pass_on(std::move(text));
    auto stat = parse_process_stat(*text);
    if (!stat) return fail(subject_of(pid), "/proc/PID/stat has an unknown form");
    return *std::move(stat);
}

bool ProcFs::alive(std::uint32_t pid, std::uint64_t start_ticks) const {
    const auto now = stat(pid);
    return now && now->state != 'Z' && now->state != 'X' &&
           (start_ticks == 0 || now->start_ticks == start_ticks);
}

Result<std::string> ProcFs::comm(std::uint32_t pid) const {
    auto text = read(pid, "comm");
    if (text && text->ends_with('\n')) text->pop_back();
    return text;
}

Result<std::vector<std::string>> ProcFs::cmdline(std::uint32_t pid) const {
    return read_memory(pid, "cmdline").map([](const std::string& text) {
        return parse_nul_list(text);
    });
}

Result<std::vector<std::string>> ProcFs::environment(std::uint32_t pid) const {
    return read_memory(pid, "environ").map([](const std::string& text) {
        return parse_nul_list(text);
    });
}

Result<CgroupPaths> ProcFs::cgroups(std::uint32_t pid) const {
    return read(pid, "cgroup").map([](const std::string& text) {
        return parse_cgroup_paths(text);
    });
}

Result<uid_t> ProcFs::uid(std::uint32_t pid) const {
    auto text = read(pid, "status");
    if (!text) return pass_on(std::move(text));
    const auto uid = parse_status_uid(*text);
    if (!uid) return fail(subject_of(pid), "/proc/PID/status has no user id");
    return *uid;
}

bool ProcFs::speaks_for_host(std::uint32_t pid) const {
    const auto user = uid(pid);
    const auto pidns = name_space(pid, "pid");
    const auto own_pidns = own_name_space("pid");
    const auto groups = cgroups(pid);
    if (!user || !pidns || !own_pidns || !groups) return false;
    // A container can have root's user id and, with --pid host, the host's pid namespace.
    const std::string cgroup = naming_cgroup(*groups);
    return *user == 0 && *pidns == *own_pidns &&
           !identify(cgroup_levels(cgroup, std::string_view::npos), 0, 0, *pidns).has_value();
}

Result<std::uint32_t> ProcFs::name_space(std::uint32_t pid, std::string_view kind) const {
    auto target = link(pid, "ns/" + std::string(kind));
    if (!target) return pass_on(std::move(target));
    const auto inode = parse_namespace_link(*target);
    if (!inode) return fail(subject_of(pid), "its " + std::string(kind) + " namespace is unknown");
    return *inode;
}

Result<std::uint32_t> ProcFs::own_name_space(std::string_view kind) const {
    const std::string file = root_ + "/self/ns/" + std::string(kind);
    std::error_code error;
    const std::filesystem::path target = std::filesystem::read_symlink(file, error);
    if (error) return fail(Error{file, "cannot read", error.value(), "is /proc mounted?"});
    const auto inode = parse_namespace_link(target.string());
    if (!inode) return fail(file, "is no namespace");
    return *inode;
}

Result<std::string> ProcFs::working_directory(std::uint32_t pid) const {
    return link(pid, "cwd");
}

std::vector<std::uint32_t> ProcFs::pids() const {
    std::vector<std::uint32_t> pids;
    std::error_code error;
    for (std::filesystem::directory_iterator entry(root_, error), end; !error && entry != end;
         entry.increment(error)) {
        const auto pid = whole_number<std::uint32_t>(entry->path().filename().string());
        if (pid) pids.push_back(*pid);
    }
    return pids;
}

}  // namespace twinlog
