// Reading of the kernel's event records.
#include "read/inotify.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

namespace twinlog {

Result<Inotify> Inotify::open(std::string subject) {
    UniqueFd fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!fd.valid()) {
        return fail_errno(subject, "cannot follow",
                          "fs.inotify.max_user_instances may be too low for this user");
    }
    return Inotify(std::move(fd), std::move(subject));
}

Result<int> Inotify::add(const std::string& path, std::uint32_t events) {
    const int watch = ::inotify_add_watch(fd_.get(), path.c_str(), events);
    if (watch >= 0) return watch;
    return fail_errno(
        path, "cannot follow",
        errno == ENOSPC ? "fs.inotify.max_user_watches is too low for this user" : "");
}

Status Inotify::drain(const std::function<Status(const Event&)>& take) {
    alignas(inotify_event) std::array<char, 16384> buffer;
    for (;;) {
        const ssize_t got = ::read(fd_.get(), buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) return {};
        if (got <= 0) return fail_errno(subject_, "cannot follow");
        for (std::size_t at = 0; at < static_cast<std::size_t>(got);) {
            inotify_event event{};
            std::memcpy(&event, buffer.data() + at, sizeof event);
            const char* const name = buffer.data() + at + sizeof event;
            const std::size_t size = event.len > 0 ? ::strnlen(name, event.len) : 0;
            at += sizeof event + event.len;
            if (Status taken = take({event.wd, event.mask, {name, size}}); !taken) return taken;
        }
    }
}

}  // namespace twinlog
