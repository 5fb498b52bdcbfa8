// inotify(7) on one directory.
#include "read/directory_watch.h"

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <cstddef>
#include <cstring>
#include <utility>

namespace twinlog {

Result<DirectoryWatch> DirectoryWatch::open(const std::string& path, std::string info_name) {
    UniqueFd fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!fd.valid()) {
        return fail_errno(path, "cannot follow",
                          "fs.inotify.max_user_instances may be too low for this user");
    }
    constexpr std::uint32_t events = IN_MODIFY | IN_CREATE | IN_DELETE | IN_MOVED_FROM |
                                     IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
    if (::inotify_add_watch(fd.get(), path.c_str(), events) < 0) {
        return fail_errno(path, "cannot follow");
    }
    return DirectoryWatch(std::move(fd), path, std::move(info_name));
}

Status DirectoryWatch::drain(Changes& changes) {
    alignas(inotify_event) std::array<char, 16384> buffer;
    for (;;) {
        const ssize_t got = ::read(fd_.get(), buffer.data(), buffer.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) return {};
        if (got <= 0) return fail_errno(path_, "cannot follow");
        for (std::size_t at = 0; at < static_cast<std::size_t>(got);) {
            inotify_event event{};
            std::memcpy(&event, buffer.data() + at, sizeof event);
            const char* const name = buffer.data() + at + sizeof event;
            const std::string_view file(name, event.len > 0 ? ::strnlen(name, event.len) : 0);
            at += sizeof event + event.len;

            if ((event.mask & IN_Q_OVERFLOW) != 0) {
                changes.content = changes.names = changes.info = true;
            } else if ((event.mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED)) != 0) {
                changes.removed = true;
            } else if (file.ends_with(".tmp")) {
                // A file in the making: it will be renamed.
            } else if (file == info_name_) {
                changes.info = true;
            } else if ((event.mask & IN_MODIFY) != 0) {
                changes.content = true;
            } else {
                changes.names = true;
            }
        }
    }
}

Result<DirectoryWatch::Wake> DirectoryWatch::wait(int stop_fd, int output_fd) const {
    // poll() passes over negative descriptors, and tells of errors whatever is asked for.
    std::array<pollfd, 3> fds = {{{fd_.get(), POLLIN, 0}, {stop_fd, POLLIN, 0}, {output_fd, 0, 0}}};
    while (::poll(fds.data(), fds.size(), -1) < 0) {
        if (errno != EINTR) return fail_errno(path_, "cannot follow");
    }
    return fds[1].revents != 0 || fds[2].revents != 0 ? Wake::stop : Wake::changed;
}

}  // namespace twinlog
