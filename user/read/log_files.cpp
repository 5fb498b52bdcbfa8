// Listing and opening of rotated files. Rotation renames .N to .N+1 from the oldest on, so at any
// instant a higher number means an older file, but names change between listing and opening. What
// settles the order is a listing made after the files were opened: what is held open keeps its
// inode. A file that was compressed meanwhile has another inode, but says which one it had.
#include "read/log_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "store/gzip.h"
#include "store/layout.h"
#include "store/rotation.h"

namespace twinlog {
namespace {

struct Listed {
    RotatedName name;  // number 0: the file that is written to
    ino_t inode = 0;
    GzipFacts facts = {};  // of a compressed one
};

// Plain before compressed.
bool before(const RotatedName& a, const RotatedName& b) {
    return a.number != b.number ? a.number < b.number : !a.compressed && b.compressed;
}

// Newest first. The kernel fills one buffer under the directory's lock, so this is the state of one
// instant unless the directory has many hundreds of files.
Result<std::vector<Listed>> list(int directory, const std::string& path,
                                 std::vector<std::string>& irregular) {
    std::vector<Listed> found;
    irregular.clear();
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
            const char* const item = buffer.data() + at;
            std::memcpy(&length, item + offsetof(dirent64, d_reclen), sizeof length);
            decltype(dirent64::d_type) type = DT_UNKNOWN;
            std::memcpy(&inode, item + offsetof(dirent64, d_ino), sizeof inode);
            std::memcpy(&type, item + offsetof(dirent64, d_type), sizeof type);
            at += length;
            const char* const text = item + offsetof(dirent64, d_name);
            const auto name = parse_rotated_name(text, layout::log_file);
            if (!name) continue;
            if (type == DT_REG || type == DT_UNKNOWN) {
                found.push_back({*name, inode});
            } else {
                irregular.emplace_back(text);
            }
        }
    }
    std::sort(found.begin(), found.end(),
              [](const Listed& a, const Listed& b) { return before(a.name, b.name); });
    // For a moment there are both; the plain one is as good.
    const auto same_number = [](const Listed& a, const Listed& b) {
        return a.name.number == b.name.number;
    };
    found.erase(std::unique(found.begin(), found.end(), same_number), found.end());
    return found;
}

// Fills in facts. False if a file has another name by now.
Result<bool> read_facts(int directory, const std::string& path, std::vector<Listed>& listed) {
    for (Listed& item : listed) {
        if (!item.name.compressed) continue;
        const std::string name = std::string(layout::log_file) + rotated_suffix(item.name);
        const UniqueFd fd(
            ::openat(directory, name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
        if (!fd.valid() && errno == ENOENT) return false;
        if (!fd.valid()) return fail_errno(path + "/" + name, "cannot open the log");
        struct stat status {};
        if (::fstat(fd.get(), &status) != 0 || status.st_ino != item.inode) return false;
        item.facts = read_gzip_header(fd.get()).value_or(GzipFacts{});
    }
    return true;
}

struct Opened {
    LogFile file;
    std::int64_t age;  // higher is older
};

// Whether the listed file is the one that is open, or what became of it.
bool is_same(const Listed& listed, LogFile& open) {
    const ino_t inode = open.identity().inode;
    if (open.is_compressed() || !listed.name.compressed) {
        return listed.inode == inode && listed.name.compressed == open.is_compressed();
    }
    if (listed.facts.inode != inode) return false;
    // The number alone is not enough: it may have been another file's before.
    const auto first = open.first_time();
    return first && *first && *first == listed.facts.first_ns;
}

// Of what is no longer listed: it was the oldest.
constexpr std::int64_t unlisted_age = std::int64_t{1} << 32U;

const Listed* find(const std::vector<Listed>& listed, LogFile& open) {
    const auto at = std::find_if(listed.begin(), listed.end(),
                                 [&open](const Listed& item) { return is_same(item, open); });
    return at == listed.end() ? nullptr : &*at;
}

}  // namespace

Result<NewerFiles> open_newer_files(int directory, const std::string& directory_path,
                                    LogFile* after) {
    // Each round that finds something new costs the writer a rotation; a writer cannot go on so.
    constexpr int most_rounds = 100;
    NewerFiles result;
    std::vector<Opened> opened;
    bool complete = false;
    const auto is_opened = [&opened](const Listed& listed) {
        return std::any_of(opened.begin(), opened.end(),
                           [&listed](Opened& item) { return is_same(listed, item.file); });
    };
    for (int round = 0; !complete; ++round) {
        if (round == most_rounds) {
            return fail(directory_path, "its logs are renamed faster than they can be opened");
        }
        Result<std::vector<Listed>> listed = list(directory, directory_path, result.irregular);
        if (!listed) return fail(listed.error());
        const auto known = read_facts(directory, directory_path, *listed);
        if (!known) return fail(known.error());
        if (!*known) continue;

        const Listed* const end = after != nullptr ? find(*listed, *after) : nullptr;
        result.after_is_gone = after != nullptr && end == nullptr;
        std::int64_t newest = std::numeric_limits<std::int64_t>::max();
        for (Opened& item : opened) {
            const Listed* const now = find(*listed, item.file);
            // Numbers keep their order below this, even for files that vanished in different
            // rounds.
            item.age = now != nullptr ? now->name.number : unlisted_age + item.age;
            newest = std::min(newest, item.age);
        }

        complete = true;
        for (const Listed& item : *listed) {
            if (end != nullptr && item.name.number >= end->name.number) break;
            // What became the newest since the last round can wait for the next call.
            if (is_opened(item) || (!opened.empty() && item.name.number < newest)) continue;
            complete = false;
        }
        if (complete) break;

        for (const Listed& item : *listed) {
            if (end != nullptr && item.name.number >= end->name.number) break;
            if (is_opened(item)) continue;
            Result<LogFile> file =
                LogFile::open(directory, std::string(layout::log_file) + rotated_suffix(item.name),
                              directory_path);
            if (!file) {
                if (file.error().code == ENOENT) continue;  // moved on, or gone
                return fail(file.error());
            }
            // Another file may have got the name since.
            const Listed now{{0, file->is_compressed()}, file->identity().inode, file->facts()};
            if (is_opened(now) || (after != nullptr && is_same(now, *after))) continue;
            opened.push_back({std::move(*file), item.name.number});
        }
    }
    std::sort(opened.begin(), opened.end(),
              [](const Opened& a, const Opened& b) { return a.age > b.age; });
    for (Opened& item : opened) result.files.push_back(std::move(item.file));
    return result;
}

}  // namespace twinlog
