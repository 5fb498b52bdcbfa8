// Reads files as another process sees them, without ever being led out of its root directory.
#include "container/rooted_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>

namespace twinlog {
namespace {

Result<UniqueFd> open_rooted(const std::string& root, const std::string& path, int flags) {
    const UniqueFd directory(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!directory.valid()) return fail_errno(root, "cannot open");
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

Result<std::string> read_here(const FileQuestion& question) {
    auto fd = open_rooted(question.directory, question.path, 0);
    if (!fd) return pass_on(std::move(fd));
    struct stat status {};
    if (::fstat(fd->get(), &status) != 0) return fail_errno(question.path, "cannot read");
    if (!S_ISREG(status.st_mode)) return fail(question.path, "is no regular file");
    if (question.owner != 0 && status.st_uid != question.owner)
        return fail(question.path, "belongs to another user");
    return read_at_most(*fd, question.limit, question.path);
}

// Each name with a NUL behind it.
Result<std::string> list_here(const FileQuestion& question) {
    auto fd = open_rooted(question.directory, question.path, O_DIRECTORY);
    if (!fd) return pass_on(std::move(fd));
    const std::unique_ptr<DIR, CloseDirectory> directory(::fdopendir(fd->get()));
    if (!directory) return fail_errno(question.path, "cannot list");
    (void)fd->release();  // fdopendir has it now
    std::string names;
    for (std::uint64_t count = 0; count < question.limit;) {
        const dirent* entry = ::readdir(directory.get());
        if (entry == nullptr) break;
        const std::string_view name = &entry->d_name[0];
        if (name == "." || name == "..") continue;
        names += name;
        names += '\0';
        ++count;
    }
    return names;
}

Result<std::string> path_here(const FileQuestion& question) {
    const std::string there =
        (question.host == "/" ? std::string() : question.host) + question.path;
    auto seen = open_rooted(question.directory, question.path, O_DIRECTORY);
    if (!seen) return pass_on(std::move(seen));
    struct stat a {};
    struct stat b {};
    if (::fstat(seen->get(), &a) != 0) return fail_errno(question.path, "cannot read");
    if (::stat(there.c_str(), &b) != 0) return std::string();
    return a.st_dev == b.st_dev && a.st_ino == b.st_ino ? there : std::string();
}

std::string text_of(Presence presence) {
    return std::to_string(static_cast<int>(presence));
}

Result<std::string> ask(const FileRoot& root, FileQuestion question) {
    question.directory = root.directory;
    question.owner = root.owner;
    return root.agent ? root.agent->ask(root.whom, question) : answer(question);
}

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
    const auto fd = open_rooted("/", ".", O_DIRECTORY);
    if (fd) return {};
    return fail(Error{"the files of container runtimes", "opening them by openat2(2)",
                      fd.error().code,
                      "a seccomp filter refuses it, RestrictSUIDSGID= of systemd for one"});
}

Result<std::string> answer(const FileQuestion& question) {
    switch (question.kind) {
        case FileQuestion::Kind::read:
            return read_here(question);
        case FileQuestion::Kind::list:
            return list_here(question);
        case FileQuestion::Kind::path_on_host:
            return path_here(question);
        case FileQuestion::Kind::presence:
            return text_of(presence_of(question.path));
    }
    return fail(question.path, "is asked about in an unknown way");
}

Result<std::string> read_rooted(const FileRoot& root, const std::string& path, std::size_t limit) {
    FileQuestion question;
    question.kind = FileQuestion::Kind::read;
    question.path = path;
    question.limit = limit;
    return ask(root, std::move(question));
}

Result<std::string> path_on_host(const FileRoot& root, const std::string& path,
                                 const std::string& host) {
    FileQuestion question;
    question.kind = FileQuestion::Kind::path_on_host;
    question.path = path;
    question.host = host;
    return ask(root, std::move(question));
}

Result<std::vector<std::string>> list_rooted(const FileRoot& root, const std::string& path,
                                             std::size_t limit) {
    FileQuestion question;
    question.kind = FileQuestion::Kind::list;
    question.path = path;
    question.limit = limit;
    return ask(root, std::move(question)).map([](const std::string& text) {
        std::vector<std::string> names;
        std::string_view rest = text;
        while (!rest.empty()) {
            const std::size_t end = rest.find('\0');
            names.emplace_back(rest.substr(0, end));
            rest.remove_prefix(std::min(rest.size(), names.back().size() + 1));
        }
        return names;
    });
}

Presence presence_of(const FileRoot& root, const std::string& home) {
    FileQuestion question;
    question.kind = FileQuestion::Kind::presence;
    question.path = home;
    const auto found = ask(root, std::move(question));
    for (const Presence presence : {Presence::there, Presence::removed}) {
        if (found && *found == text_of(presence)) return presence;
    }
    return Presence::unknown;
}

}  // namespace twinlog
