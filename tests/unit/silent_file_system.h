// A process of its own mount namespace, in which a directory is of a file system (FUSE) that never
// answers: whoever looks into it waits, and cannot be interrupted once its request was taken.
#pragma once

#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>
#include <string>

#include "base/unique_fd.h"

namespace twinlog::test {

class SilentFileSystem {
 public:
    // is_taken: its requests are read, so that no signal ends whoever waits.
    SilentFileSystem(const std::string& directory, const char* comm, bool is_taken) {
        std::array<int, 2> pair{};
        if (::pipe2(pair.data(), O_CLOEXEC) != 0) return;
        const UniqueFd from(pair[0]);
        UniqueFd to(pair[1]);
        pid_ = ::fork();
        if (pid_ == 0) serve(directory, comm, is_taken, to.get());
        to.reset();
        char byte = 0;
        ready_ = ::read(from.get(), &byte, 1) == 1;
    }
    SilentFileSystem(const SilentFileSystem&) = delete;
    SilentFileSystem& operator=(const SilentFileSystem&) = delete;
    SilentFileSystem(SilentFileSystem&&) = delete;
    SilentFileSystem& operator=(SilentFileSystem&&) = delete;
    // Who waits gets an error.
    ~SilentFileSystem() {
        if (pid_ <= 0) return;
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }

    // Not where it may not be mounted.
    [[nodiscard]] bool ready() const { return ready_; }
    [[nodiscard]] pid_t pid() const { return pid_; }

 private:
    [[noreturn]] static void serve(const std::string& directory, const char* comm, bool is_taken,
                                   int ready) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::prctl(PR_SET_NAME, comm);
        const int fuse = ::open("/dev/fuse", O_RDWR | O_CLOEXEC);
        const std::string options =
            "fd=" + std::to_string(fuse) + ",rootmode=40000,user_id=0,group_id=0,allow_other";
        if (fuse < 0 || ::unshare(CLONE_NEWNS) != 0 ||
            ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
            ::mount("fuse", directory.c_str(), "fuse", MS_NOSUID | MS_NODEV, options.c_str()) !=
                0 ||
            ::write(ready, "x", 1) != 1) {
            ::_exit(1);
        }
        static std::array<char, 1UL << 20U> request{};
        bool initialised = false;
        while (is_taken) {
            const ssize_t count = ::read(fuse, request.data(), request.size());
            if (count < 0) break;
            if (initialised) continue;
            initialised = true;
            // The first is FUSE_INIT, without whose answer none but it is sent.
            answer_init(fuse, request.data());
        }
        while (true) ::pause();
    }

    static void answer_init(int fuse, const char* request) {
        struct {
            fuse_out_header head;
            fuse_init_out init;
        } reply{};
        fuse_in_header asked{};
        std::memcpy(&asked, request, sizeof(asked));
        reply.head.len = sizeof(reply);
        reply.head.unique = asked.unique;
        reply.init.major = FUSE_KERNEL_VERSION;
        reply.init.minor = FUSE_KERNEL_MINOR_VERSION;
        reply.init.max_write = 4096;
        [[maybe_unused]] const ssize_t written = ::write(fuse, &reply, sizeof(reply));
    }

    pid_t pid_ = -1;
    bool ready_ = false;
};

}  // namespace twinlog::test
