#include "capture/peek.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>

#include "base/unique_fd.h"

namespace twinlog {

namespace {

// What users may enlarge a pipe to; root has no limit, but then a part will do.
constexpr int largest_pipe = 1 << 20;

// As the kernel counts devices inside.
constexpr unsigned int minor_bits = 20;

bool is_same(int fd, const tw_file& file) {
    struct stat found {};
    if (::fstat(fd, &found) != 0 || !S_ISFIFO(found.st_mode)) return false;
    const std::uint32_t device =
        ::gnu_dev_major(found.st_dev) << minor_bits | ::gnu_dev_minor(found.st_dev);
    return found.st_ino == file.ino && device == file.dev;
}

// Its pid and descriptor may be another's by now, so it is looked at once more.
UniqueFd open_pipe(const tw_file& file, const StreamsLook& look) {
    for (const tw_holder& holder : look.holders) {
        if (holder.stream != file.stream) continue;
        const std::string path =
            "/proc/" + std::to_string(holder.pid) + "/fd/" + std::to_string(holder.fd);
        UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
        if (fd.valid() && is_same(fd.get(), file)) return fd;
    }
    return {};
}

}  // namespace

std::string peek_into(const tw_file& file, const StreamsLook& look) {
    if (file.kind != TW_KIND_PIPE && file.kind != TW_KIND_FIFO) return {};
    const UniqueFd pipe = open_pipe(file, look);
    std::array<int, 2> ends{};
    if (!pipe.valid() || ::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) return {};
    const UniqueFd copy(ends[0]);
    const UniqueFd into(ends[1]);
    ::fcntl(into.get(), F_SETPIPE_SZ, largest_pipe);
    const ssize_t copied = ::tee(pipe.get(), into.get(), largest_pipe, SPLICE_F_NONBLOCK);
    if (copied <= 0) return {};
    std::string bytes(static_cast<std::size_t>(copied), '\0');
    std::size_t done = 0;
    while (done < bytes.size()) {
        const ssize_t got = ::read(copy.get(), bytes.data() + done, bytes.size() - done);
        if (got <= 0) break;
        done += static_cast<std::size_t>(got);
    }
    bytes.resize(done);
    return bytes;
}

}  // namespace twinlog
