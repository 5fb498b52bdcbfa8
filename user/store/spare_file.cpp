#include "store/spare_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>

#include "base/file_system.h"
#include "base/unique_fd.h"

namespace twinlog {

namespace {

constexpr std::uint64_t block_size = 4096;
constexpr std::uint64_t unit_of_blocks = 512;  // st_blocks, stat(2)
// Counters grow by some digits.
constexpr std::uint64_t growth = 512;

std::string spare_of(const std::string& path) {
    return path + ".spare";
}

// As far as there is room for it.
void keep_spare(const std::string& path, std::uint64_t size, mode_t mode) {
    const std::string spare = spare_of(path);
    const std::uint64_t room = (size + growth + block_size - 1) / block_size * block_size;
    struct stat status {};
    if (::lstat(spare.c_str(), &status) == 0) {
        if (!S_ISREG(status.st_mode)) return;
        if (static_cast<std::uint64_t>(status.st_blocks) * unit_of_blocks >= room) return;
    }
    const UniqueFd fd(::open(spare.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode));
    if (fd.valid()) (void)::posix_fallocate(fd.get(), 0, static_cast<off_t>(room));
}

Status write_into_spare(const std::string& path, std::string_view contents) {
    const std::string spare = spare_of(path);
    const UniqueFd fd(::open(spare.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd.valid()) return fail_errno(spare, "opening it");
    // Over what is there: who empties it first gives the room away.
    if (auto written = write_all(fd.get(), contents, spare); !written) return written;
    if (::ftruncate(fd.get(), static_cast<off_t>(contents.size())) != 0) {
        return fail_errno(spare, "cutting it");
    }
    if (::renameat2(AT_FDCWD, spare.c_str(), AT_FDCWD, path.c_str(), RENAME_EXCHANGE) == 0) {
        return {};
    }
    // A file system without it, or there is no file yet: the room may be gone for the next time.
    if (::rename(spare.c_str(), path.c_str()) != 0) return fail_errno(path, "replacing it");
    return {};
}

}  // namespace

Status write_file_with_spare(const std::string& path, std::string_view contents, mode_t mode) {
    auto written = write_file_atomically(path, contents, mode);
    // The reason that counts is the first.
    if (!written && !write_into_spare(path, contents)) return written;
    keep_spare(path, contents.size(), mode);
    return {};
}

void remove_spare(const std::string& path) {
    ::unlink(spare_of(path).c_str());
}

}  // namespace twinlog
