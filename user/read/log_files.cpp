// Listing and opening of rotated files. Rotation renames .N to .N+1 from the oldest on, so at any
// instant a higher number means an older file, but names change between listing and opening. What
// settles the order is a listing made after the files were opened: what is held open keeps its
// inode.
#include "read/log_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "store/layout.h"

namespace twinlog {
namespace {

struct Listed {
    int number = 0;  // 0: the file that is written to
    ino_t inode = 0;
};

std::optional<int> number_of(std::string_view name) {
    if (!name.starts_with(layout::log_file)) return std::nullopt;
    name.remove_prefix(layout::log_file.size());
    if (name.empty()) return 0;
    if (name.size() < 2 || name[0] != '.' || name[1] < '1' || name[1] > '9') return std::nullopt;
    int number = 0;
    const char* const end = name.data() + name.size();
    const auto [stop, error] = std::from_chars(name.data() + 1, end, number);
    if (error != std::errc{} || stop != end) return std::nullopt;
    return number;
}

// Newest first. The kernel fills one buffer under the directory's lock, so this is the state of one
// instant unless the directory has many hundreds of files.
Result<std::vector<Listed>> list(int directory, const std::string& path) {
    std::vector<Listed> found;
    const UniqueFd fd(::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd.valid()) return fail_errno(path, "cannot list the logs");
    std::vector<char> buffer(std::size_t{64} * 1024);
    for (;;) {
        const ssize_t got = ::getdents64(fd.get(), buffer.data(), buffer.size());
        // ENOENT: the directory was removed.
        if (got == 0 || (got < 0 && errno == ENOENT)) break;
        if (got < 0) return fail_errno(path, "cannot list the logs");
        for (std::size_t at = 0; at < static_cast<std::size_t>(got);) {
            decltype(dirent64::d_reclen) length = 0;
            decltype(dirent64::d_ino) inode = 0;
            decltype(dirent64::d_type) type = DT_UNKNOWN;
            const char* const item = buffer.data() + at;
            std::memcpy(&length, item + offsetof(dirent64, d_reclen), sizeof length);
            std::memcpy(&inode, item + offsetof(dirent64, d_ino), sizeof inode);
            std::memcpy(&type, item + offsetof(dirent64, d_type), sizeof type);
            at += length;
            if (type != DT_REG && type != DT_UNKNOWN) continue;
            if (const auto number = number_of(item + offsetof(dirent64, d_name))) {
                found.push_back({*number, inode});
            }
        }
    }
    std::sort(found.begin(), found.end(),
              [](const Listed& a, const Listed& b) { return a.number < b.number; });
    return found;
}

struct Opened {
    LogFile file;
    std::int64_t age;  // higher is older
};

// Of what is no longer listed: it was the oldest.
constexpr std::int64_t unlisted_age = std::int64_t{1} << 32U;

const Listed* find(const std::vector<Listed>& listed, ino_t inode) {
    const auto at = std::find_if(listed.begin(), listed.end(),
                                 [inode](const Listed& item) { return item.inode == inode; });
    return at == listed.end() ? nullptr : &*at;
}

}  // namespace

Result<NewerFiles> open_newer_files(int directory, const std::string& directory_path,
                                    const FileIdentity* after) {
    // Each round that finds something new costs the writer a rotation; a writer cannot go on so.
    constexpr int most_rounds = 100;
    NewerFiles result;
    std::vector<Opened> opened;
    const auto is_opened = [&opened](ino_t inode) {
        return std::any_of(opened.begin(), opened.end(), [inode](const Opened& item) {
            return item.file.identity().inode == inode;
        });
    };
    for (int round = 0; round < most_rounds; ++round) {
        const Result<std::vector<Listed>> listed = list(directory, directory_path);
        if (!listed) return fail(listed.error());

        const Listed* const end = after != nullptr ? find(*listed, after->inode) : nullptr;
        result.after_is_gone = after != nullptr && end == nullptr;
        std::int64_t newest = std::numeric_limits<std::int64_t>::max();
        for (Opened& item : opened) {
            const Listed* const now = find(*listed, item.file.identity().inode);
            // Numbers keep their order below this, even for files that vanished in different
            // rounds.
            item.age = now != nullptr ? now->number : unlisted_age + item.age;
            newest = std::min(newest, item.age);
        }

        bool complete = true;
        for (const Listed& item : *listed) {
            if (end != nullptr && item.number >= end->number) break;
            // What became the newest since the last round can wait for the next call.
            if (is_opened(item.inode) || (!opened.empty() && item.number < newest)) continue;
            complete = false;
        }
        if (complete) break;

        for (const Listed& item : *listed) {
            if (end != nullptr && item.number >= end->number) break;
            if (is_opened(item.inode)) continue;
            Result<LogFile> file =
                LogFile::open(directory, layout::log_name(item.number), directory_path);
            if (!file) {
                if (file.error().code == ENOENT) continue;  // moved on, or gone
                return fail(file.error());
            }
            const ino_t inode = file->identity().inode;
            if (is_opened(inode) || (after != nullptr && inode == after->inode)) continue;
            opened.push_back({std::move(*file), item.number});
        }
    }
    std::sort(opened.begin(), opened.end(),
              [](const Opened& a, const Opened& b) { return a.age > b.age; });
    for (Opened& item : opened) result.files.push_back(std::move(item.file));
    return result;
}

}  // namespace twinlog
