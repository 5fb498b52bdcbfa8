#include "daemon/frozen.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file_system.h"
#include "capture/pins.h"
#include "capture/privileges.h"
#include "container/freezer.h"
#include "store/layout.h"
#include "store/store.h"

namespace twinlog {

namespace {

constexpr std::size_t max_size = std::size_t{4} << 20;

// Where the list may be, best first: in memory, because a disk that is slow is what containers are
// frozen for; it is not longer lived than their freezing.
std::vector<std::string> list_paths(const std::string& store) {
    std::vector<std::string> paths;
    const auto pins = Pins::of_store(store);
    if (pins && pins->usable()) {
        const std::string name = std::filesystem::path(pins->directory()).filename();
        paths.push_back("/run/" + name + "." + std::string(layout::frozen_file));
    }
    paths.push_back(store + "/" + std::string(layout::frozen_file));
    return paths;
}

Status thaw_listed(const std::string& path) {
    const auto text = read_file(path, max_size);
    if (!text) {
        if (text.error().code == ENOENT) return {};
        return fail(text.error());
    }
    Status result;
    std::string_view rest = *text;
    while (!rest.empty()) {
        const std::size_t end = rest.find('\n');
        if (end == std::string_view::npos) break;
        auto thawed = Freezer::thaw(std::string(rest.substr(0, end)));
        if (!thawed) result = std::move(thawed);
        rest.remove_prefix(end + 1);
    }
    if (!result) return result;
    return real_file_system().remove(path);
}

// Only fd 0 to 2 and that of the daemon stay open: nothing of the daemon's may live on with the
// child, least of all its terminal's end. A pidfd tells of an end only when all files are closed,
// the store's lock with them.
[[noreturn]] void guard(int daemon, const std::string& store) {
    ::prctl(PR_SET_NAME, "twinlog-thaw");
    ::setsid();
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGPIPE}) ::signal(number, SIG_IGN);
    (void)drop_all_privileges();  // nobody hears of it here
    const int null = ::open("/dev/null", O_RDWR);
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(null, fd);
    constexpr int only_other = STDERR_FILENO + 1;
    ::dup2(daemon, only_other);
    ::syscall(SYS_close_range, only_other + 1, ~0U, 0U);
    pollfd gone{.fd = only_other, .events = POLLIN, .revents = 0};
    while (::poll(&gone, 1, -1) < 0 && errno == EINTR) {
    }
    // The next daemon has done it, and what the list names by now it has frozen itself.
    const auto opened = Store::open(store, /*create=*/false);
    const auto next = opened ? opened->daemon_pid() : Result<std::optional<pid_t>>();
    if (next && *next) ::_exit(0);
    ::_exit(thaw_left(store) ? 0 : 1);
}

}  // namespace

Result<FrozenList> FrozenList::open(const std::string& store) {
    Result<FrozenList> opened = fail(store, "there is no place for the list of frozen containers");
    for (std::string& path : list_paths(store)) {
        UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
                           layout::file_mode));
        if (fd.valid()) return FrozenList(std::move(path), std::move(fd));
        opened = fail_errno(path, "making it");
    }
    return opened;
}

FrozenList::~FrozenList() {
    if (fd_.valid() && paths_.empty()) ::unlink(file_.c_str());
}

Status FrozenList::add(const std::string& path) {
    paths_.insert(path);
    if (auto written = write(); !written) {
        paths_.erase(path);
        return written;
    }
    return {};
}

Status FrozenList::remove(const std::string& path) {
    paths_.erase(path);
    return write();
}

// Cut after it is written: a daemon killed in between leaves a path too many, never one too few.
// What a longer list left behind the new one's end may be half a path, which names nothing.
Status FrozenList::write() {
    std::string text;
    for (const std::string& path : paths_) text += path + "\n";
    const ssize_t written = ::pwrite(fd_.get(), text.data(), text.size(), 0);
    if (written < 0) return fail_errno(file_, "writing it");
    if (static_cast<std::size_t>(written) != text.size()) {
        return fail(Error{file_, "writing it", ENOSPC, {}});
    }
    if (::ftruncate(fd_.get(), written) != 0) return fail_errno(file_, "cutting it");
    return {};
}

Status thaw_left(const std::string& store) {
    Status result;
    for (const std::string& path : list_paths(store)) {
        if (auto thawed = thaw_listed(path); !thawed) result = std::move(thawed);
    }
    return result;
}

Result<ThawGuard> ThawGuard::start(const std::string& store) {
    const UniqueFd daemon(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
    if (!daemon.valid()) return fail_errno("throttling", "watching this process");
    const pid_t child = ::fork();
    if (child < 0) return fail_errno("throttling", "starting a process");
    if (child == 0) guard(daemon.get(), store);
    return ThawGuard(child);
}

ThawGuard::ThawGuard(ThawGuard&& other) noexcept : child_(std::exchange(other.child_, -1)) {}

ThawGuard::~ThawGuard() {
    if (child_ <= 0) return;
    ::kill(child_, SIGKILL);
    while (::waitpid(child_, nullptr, 0) < 0 && errno == EINTR) {
    }
}

}  // namespace twinlog
