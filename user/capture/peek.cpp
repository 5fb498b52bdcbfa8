#include "capture/peek.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "base/unique_fd.h"

namespace twinlog {

namespace {

// What users may enlarge a pipe to; root has no limit, but then a part will do.
constexpr int largest_pipe = 1 << 20;

// As the kernel counts devices inside.
constexpr unsigned int minor_bits = 20;

// Asks no file system that would have to ask somebody else.
bool is_same(int fd, const tw_file& file) {
    struct statx found {};
    if (::statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, &found) != 0) {
        return false;
    }
    const std::uint32_t device = found.stx_dev_major << minor_bits | found.stx_dev_minor;
    return S_ISFIFO(found.stx_mode) && found.stx_ino == file.ino && device == file.dev;
}

// Whether it is the stream's pipe is seen before it is opened: the pid and the descriptor may be
// another's by now, or have been exchanged for a file whose opening has consequences, or no end.
UniqueFd open_pipe(const tw_file& file, const StreamsLook& look) {
    const auto held = look.holders.find(file.slot);
    if (held == look.holders.end() || held->second.stream != file.stream) return {};
    for (const auto& holder : held->second.by) {
        if (holder.pid == 0) continue;
        const std::string path =
            "/proc/" + std::to_string(holder.pid) + "/fd/" + std::to_string(holder.fd);
        const UniqueFd found(::open(path.c_str(), O_PATH | O_CLOEXEC));
        if (!found.valid() || !is_same(found.get(), file)) continue;
        const std::string same = "/proc/self/fd/" + std::to_string(found.get());
        UniqueFd fd(::open(same.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
        if (fd.valid()) return fd;
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
