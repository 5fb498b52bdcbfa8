// The real file system, and whole-file helpers on top of it.
#include "base/file_system.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>

namespace twinlog {

namespace {

class RealFileSystem : public FileSystem {
 public:
    Result<UniqueFd> open_log(const std::string& path, mode_t mode) override {
        UniqueFd fd(
            ::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode));
        if (!fd.valid()) return fail_errno(path, "opening it");
        return fd;
    }

    Result<UniqueFd> make(const std::string& path, mode_t mode) override {
        UniqueFd fd(
            ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode));
        if (!fd.valid()) return fail_errno(path, "making it");
        return fd;
    }

    ssize_t write(int fd, std::string_view bytes) override {
        return ::write(fd, bytes.data(), bytes.size());
    }

    int truncate(int fd, std::uint64_t size) override {
        return ::ftruncate(fd, static_cast<off_t>(size));
    }

    int sync(int fd) override { return ::fsync(fd); }

    Status rename(const std::string& from, const std::string& to) override {
        if (::rename(from.c_str(), to.c_str()) != 0)
            return fail_errno(from, "renaming it to " + to);
        return {};
    }

    Status remove(const std::string& path) override {
        if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail_errno(path, "removing it");
        return {};
    }
};

}  // namespace

FileSystem& real_file_system() {
    static RealFileSystem file_system;
    return file_system;
}

Result<std::uint64_t> file_size(int fd, const std::string& path) {
    struct stat status {};
    if (::fstat(fd, &status) != 0) return fail_errno(path, "asking its size");
    return static_cast<std::uint64_t>(status.st_size);
}

Result<std::string> read_file(const std::string& path, std::size_t max_size) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) return fail_errno(path, "opening it");
    std::string contents;
    std::array<char, 16384> block{};
    for (;;) {
        const ssize_t got = ::read(fd.get(), block.data(), block.size());
        if (got == 0) return contents;
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_errno(path, "reading it");
        contents.append(block.data(), static_cast<std::size_t>(got));
        if (contents.size() > max_size)
            return fail(path, "it has more than " + std::to_string(max_size) + " bytes");
    }
}

Status write_all(int fd, std::string_view bytes, const std::string& subject) {
    while (!bytes.empty()) {
        const ssize_t written = ::write(fd, bytes.data(), bytes.size());
        if (written > 0) {
            bytes.remove_prefix(static_cast<std::size_t>(written));
        } else if (written == 0) {
            return fail(Error{subject, "cannot write", EIO, {}});
        } else if (errno == EAGAIN) {
            pollfd room{fd, POLLOUT, 0};
            ::poll(&room, 1, -1);
        } else if (errno != EINTR) {
            return fail_errno(subject, "cannot write");
        }
    }
    return {};
}

Status make_directory(const std::string& path, mode_t mode) {
    if (::mkdir(path.c_str(), mode) == 0) return {};
    if (errno != EEXIST) return fail_errno(path, "making the directory");
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) return fail_errno(path, "looking at it");
    if (!S_ISDIR(status.st_mode)) return fail(Error{path, "using it as a directory", ENOTDIR, {}});
    return {};
}

Status write_file_atomically(const std::string& path, std::string_view contents, mode_t mode) {
    const std::string fresh = path + ".new";
    const auto give_up = [&fresh](Status failed) {
        ::unlink(fresh.c_str());
        return failed;
    };
    {
        const UniqueFd fd(
            ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode));
        if (!fd.valid()) return fail_errno(fresh, "making it");
        if (auto written = write_all(fd.get(), contents, fresh); !written) {
            return give_up(std::move(written));
        }
    }
    if (::rename(fresh.c_str(), path.c_str()) != 0)
        return give_up(fail_errno(path, "replacing it"));
    return {};
}

}  // namespace twinlog
