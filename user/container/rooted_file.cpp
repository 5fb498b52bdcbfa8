// Reads files as another process sees them, without ever being led out of its root directory.
#include "container/rooted_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <memory>

namespace twinlog {
namespace {

Result<UniqueFd> open_rooted(const FileRoot& root, const std::string& path, int flags) {
    const UniqueFd directory(::open(root.directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!directory.valid()) return fail_errno(root.directory, "cannot open");
    open_how how{};
    how.flags = static_cast<std::uint64_t>(O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | flags);
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    // EAGAIN: something was renamed during the walk, so that the kernel cannot vouch for it.
    for (int tries = 0; tries < 8; ++tries) {
        UniqueFd fd(static_cast<int>(
            ::syscall(SYS_openat2, directory.get(), path.c_str(), &how, sizeof(how))));
        if (fd.valid()) return fd;
        if (errno != EAGAIN && errno != EINTR) break;
    }
    return fail_errno(path, "cannot open");
}

struct CloseDirectory {
    void operator()(DIR* directory) const { ::closedir(directory); }
};

}  // namespace

Result<std::string> read_at_most(const UniqueFd& fd, std::size_t limit,
                                 const std::string& subject) {
    std::string text;
    std::array<char, 16384> buffer{};
    while (true) {
        const ssize_t count = ::read(fd.get(), buffer.data(), buffer.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return fail_errno(subject, "cannot read");
        if (count == 0) return text;
        if (text.size() + static_cast<std::size_t>(count) > limit) {
            return fail(subject, "is larger than " + std::to_string(limit) + " bytes");
        }
        text.append(buffer.data(), static_cast<std::size_t>(count));
    }
}

Status check_rooted() {
    const auto fd = open_rooted({.directory = "/"}, ".", O_DIRECTORY);
    if (fd) return {};
    return fail(Error{"the files of container runtimes", "opening them by openat2(2)",
                      fd.error().code,
                      "a seccomp filter refuses it, RestrictSUIDSGID= of systemd for one"});
}

Result<std::string> read_rooted(const FileRoot& root, const std::string& path, std::size_t limit) {
    auto fd = open_rooted(root, path, 0);
    if (!fd) return pass_on(std::move(fd));
    struct stat status {};
    if (::fstat(fd->get(), &status) != 0) return fail_errno(path, "cannot read");
    if (!S_ISREG(status.st_mode)) return fail(path, "is no regular file");
    if (root.owner != 0 && status.st_uid != root.owner)
        return fail(path, "belongs to another user");
    return read_at_most(*fd, limit, path);
}

std::string path_on_host(const FileRoot& root, const std::string& path, const std::string& host) {
    const std::string there = (host == "/" ? std::string() : host) + path;
    const auto seen = open_rooted(root, path, O_DIRECTORY);
    struct stat a {};
    struct stat b {};
    if (!seen || ::fstat(seen->get(), &a) != 0 || ::stat(there.c_str(), &b) != 0) return {};
    return a.st_dev == b.st_dev && a.st_ino == b.st_ino ? there : std::string();
}

std::vector<std::string> list_rooted(const FileRoot& root, const std::string& path,
                                     std::size_t limit) {
    std::vector<std::string> names;
    auto fd = open_rooted(root, path, O_DIRECTORY);
    if (!fd) return names;
    const std::unique_ptr<DIR, CloseDirectory> directory(::fdopendir(fd->get()));
    if (!directory) return names;
    (void)fd->release();  // fdopendir has it now
    while (names.size() < limit) {
        const dirent* entry = ::readdir(directory.get());
        if (entry == nullptr) break;
        const std::string_view name = &entry->d_name[0];
        if (name != "." && name != "..") names.emplace_back(name);
    }
    return names;
}

}  // namespace twinlog
