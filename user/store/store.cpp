// The store's directories and the daemon's lock.
#include "store/store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>

#include "base/escape.h"
#include "store/layout.h"
#include "store/spare_file.h"

namespace twinlog {

namespace {

// Names of 255 bytes are possible on all file systems; no runtime's ids come near that.
constexpr std::size_t max_id_size = 128;
constexpr std::size_t max_lock_file_size = 64;

// Bytes of the lock file that are locked. The second says that the pid in the file is the holder's,
// not one that a dead daemon left: it is locked once the new pid is written.
constexpr off_t held_byte = 0;
constexpr off_t pid_byte = 1;

bool is_alphanumeric(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

std::string lock_path(const std::string& store) {
    return store + "/" + std::string(layout::lock_file);
}

// Locks of open file descriptions: gone with the last copy of the fd, and, unlike those of
// flock(2), to be asked for without being taken.
int byte_lock(int fd, int command, off_t byte, struct flock& range) {
    range = {};
    range.l_type = F_WRLCK;
    range.l_whence = SEEK_SET;
    range.l_start = byte;
    range.l_len = 1;
    return ::fcntl(fd, command, &range);
}

int lock_byte(int fd, off_t byte) {
    struct flock range {};
    return byte_lock(fd, F_OFD_SETLK, byte, range);
}

std::optional<pid_t> parse_pid(std::string_view text) {
    pid_t pid = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), pid);
    if (parsed.ec != std::errc() || pid <= 0) return std::nullopt;
    return pid;
}

// As mkdir -p.
Status make_with_parents(const std::string& path) {
    auto made = make_directory(path, layout::directory_mode);
    if (made || made.error().code != ENOENT) return made;
    const std::string parent = std::filesystem::path(path).parent_path();
    if (parent.empty() || parent == path) return made;
    if (auto above = make_with_parents(parent); !above) return above;
    return make_directory(path, layout::directory_mode);
}

}  // namespace

bool safe_id(std::string_view id) {
    if (id.empty() || id.size() > max_id_size || !is_alphanumeric(id.front())) return false;
    if (id.find("..") != std::string_view::npos) return false;
    return std::all_of(id.begin(), id.end(), [](char c) {
        return is_alphanumeric(c) || c == '_' || c == '.' || c == '-';
    });
}

std::string store_way_out(int code) {
    switch (code) {
        case ENOSPC:
        case EDQUOT:
            return "free space there, or limit the logs with --max-total";
        case EROFS:
            return "mount it so that it can be written to, or choose another --store";
        case ENOENT:
            return "start the daemon with `twinlog run`, or name its store with --store";
        case ENOTDIR:
            return "name a directory with --store";
        case EMFILE:
        case ENFILE:
            return "allow it more open files (ulimit -n)";
        case EACCES:
        case EPERM:
            if (::geteuid() != 0) return "run it as root, or choose another --store";
            break;
        default:
            break;
    }
    return "choose another --store";
}

Error unreadable_store(const std::string& path, int code) {
    if (path.empty()) return {"--store", "it is empty", 0, "name a directory"};
    return {path, "the store cannot be read", code, store_way_out(code)};
}

Result<Store> Store::open(const std::string& path, bool create) {
    if (path.empty()) return fail(unreadable_store(path, ENOENT));
    if (create) {
        for (const std::string& directory : {path, layout::containers_directory(path)}) {
            if (auto made = make_with_parents(directory); !made) {
                Error error = std::move(made).error();
                error.hint = store_way_out(error.code);
                return fail(std::move(error));
            }
        }
    }
    const auto refused = [&path, create](int code) {
        Error error = unreadable_store(path, code);
        if (create) error.what = "the store cannot be written";
        return fail(std::move(error));
    };
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return refused(errno);
    if (!S_ISDIR(status.st_mode)) return refused(ENOTDIR);
    if (::access(path.c_str(), create ? W_OK | X_OK : X_OK) != 0) return refused(errno);
    return Store(path);
}

Status Store::lock() {
    const std::string path = lock_path(path_);
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, layout::file_mode));
    if (!fd.valid()) {
        const int code = errno;
        return fail(Error{path_, "the store cannot be written", code, store_way_out(code)});
    }
    if (lock_byte(fd.get(), held_byte) != 0) {
        if (errno != EAGAIN && errno != EACCES) return fail_errno(path, "locking it");
        const auto pid = daemon_pid();
        return fail(path_,
                    pid && *pid ? "held by the twinlog daemon with pid " + std::to_string(**pid)
                                : std::string("held by another twinlog daemon, which just starts"),
                    "end it with `twinlog stop`, or choose another --store");
    }
    const std::string pid = std::to_string(::getpid()) + "\n";
    if (::ftruncate(fd.get(), 0) != 0) return fail_errno(path, "emptying it");
    const ssize_t written = ::pwrite(fd.get(), pid.data(), pid.size(), 0);
    if (written < 0) return fail_errno(path, "writing it");
    // A number cut short would be another process's.
    if (static_cast<std::size_t>(written) != pid.size()) {
        return fail(Error{path, "writing it", ENOSPC, {}});
    }
    if (lock_byte(fd.get(), pid_byte) != 0) return fail_errno(path, "locking it");
    lock_ = std::move(fd);
    return {};
}

Result<std::optional<pid_t>> Store::daemon_pid() const {
    const std::string path = lock_path(path_);
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd.valid()) {
        if (errno == ENOENT) return std::optional<pid_t>();
        return fail_errno(path, "opening it");
    }
    struct flock holder {};
    if (byte_lock(fd.get(), F_OFD_GETLK, pid_byte, holder) != 0) {
        return fail_errno(path, "asking who holds it");
    }
    if (holder.l_type == F_UNLCK) return std::optional<pid_t>();
    const auto text = read_file(path, max_lock_file_size);
    if (!text) return fail(text.error());
    const auto pid = parse_pid(*text);
    if (!pid) {
        return fail(path, "a daemon holds it, but its pid is not in it",
                    "find the process with `fuser` and end it");
    }
    return pid;
}

Result<std::string> Store::directory_of(const std::string& id) const {
    if (!safe_id(id)) {
        return fail(escape_for_terminal(id), "this container id cannot name a directory");
    }
    return layout::container_directory(path_, id);
}

Result<std::string> Store::make_container(const std::string& id) {
    auto directory = directory_of(id);
    if (!directory) return directory;
    if (auto made = make_directory(*directory, layout::directory_mode); !made) {
        return pass_on(std::move(made));
    }
    return directory;
}

std::vector<std::string> Store::container_ids() const {
    std::vector<std::string> ids;
    std::error_code error;
    std::filesystem::directory_iterator entry(layout::containers_directory(path_), error);
    for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
        std::string id = entry->path().filename();
        if (safe_id(id)) ids.push_back(std::move(id));
    }
    return ids;
}

Result<ContainerInfo> Store::load(const std::string& id) const {
    const auto directory = directory_of(id);
    if (!directory) return fail(directory.error());
    return read_container_info(*directory);
}

Status Store::save(const ContainerInfo& info) {
    const auto directory = directory_of(info.id);
    if (!directory) return fail(directory.error());
    const std::string path = *directory + "/" + std::string(layout::info_file);
    auto saved = write_file_with_spare(path, to_json(info), layout::file_mode);
    // What has ended changes no more.
    if (saved && info.state == ContainerState::ended) remove_spare(path);
    return saved;
}

}  // namespace twinlog
