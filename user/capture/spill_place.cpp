#include "capture/spill_place.h"

#include <linux/magic.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "base/file_system.h"

namespace twinlog {

namespace {

// Of a disk: a twentieth, as file systems do for root, but no more than others need to go on for a
// while.
constexpr std::uint64_t left_free_part = 20;
constexpr std::uint64_t most_left_free = std::uint64_t{1} << 30U;

// Of the memory's file system, which the whole host needs, no more than this part is taken, and as
// much is left.
constexpr std::uint64_t memory_part = 4;

constexpr const char* own_directory = "/run/twinlog";
// systemd.exec(5), RuntimeDirectory=: several are separated by colons.
constexpr const char* given_directories = "RUNTIME_DIRECTORY";

std::string directory_in_memory() {
    // Set by who starts the daemon, for root.
    const char* given = std::getenv(given_directories);  // NOLINT(concurrency-mt-unsafe)
    const std::string directories = given == nullptr ? "" : given;
    if (directories.empty()) return own_directory;
    return directories.substr(0, directories.find(':'));
}

std::string file_in_memory(const Pins& pins) {
    if (!pins.usable()) return {};
    const std::string name = std::filesystem::path(pins.directory()).filename();
    return directory_in_memory() + "/" + name + ".spill";
}

// How many bytes the file system of that directory has, which may not be made yet. Fails where that
// is no memory, or where others than root could put a file there, or read one.
Result<std::uint64_t> size_of_memory(const std::string& directory) {
    std::string place = directory;
    struct stat status {};
    if (::lstat(directory.c_str(), &status) != 0) {
        place = std::filesystem::path(directory).parent_path();
    } else if (!S_ISDIR(status.st_mode) || status.st_uid != ::geteuid() ||
               (status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return fail(directory, "is not a directory of root's alone");
    }
    struct statfs memory {};
    if (::statfs(place.c_str(), &memory) != 0) {
        return fail_errno(place, "asking which file system it is");
    }
    if (static_cast<unsigned long>(memory.f_type) != static_cast<unsigned long>(TMPFS_MAGIC)) {
        return fail(place, "is not in memory (tmpfs)");
    }
    return memory.f_blocks * static_cast<std::uint64_t>(memory.f_bsize);
}

}  // namespace

std::uint64_t left_free_of(std::uint64_t size) {
    return std::min(size / left_free_part, most_left_free);
}

Result<SpillPlace> spill_on_disk(const std::string& path, std::uint64_t limit) {
    SpillPlace place{.path = path, .limit = limit, .left_free = 0};
    const std::string store = std::filesystem::path(path).parent_path();
    struct statvfs disk {};
    if (::statvfs(store.c_str(), &disk) != 0) return fail_errno(store, "asking how large it is");
    place.left_free = left_free_of(disk.f_blocks * disk.f_frsize);
    return place;
}

SpillPlace spill_in_memory(const Pins& pins, std::uint64_t limit) {
    SpillPlace place{.path = file_in_memory(pins), .limit = 0, .left_free = 0};
    if (place.path.empty()) return {};
    const std::filesystem::path directory = std::filesystem::path(place.path).parent_path();
    auto size = size_of_memory(directory);
    if (size) {
        if (auto made = make_directory(directory, 0700); !made) {
            size = pass_on(std::move(made));
        } else {
            // Once more: somebody else may have made it meanwhile.
            size = size_of_memory(directory);
        }
    }
    if (!size) {
        spdlog::debug("{}: bursts wait on the disk", size.error().message());
        return {};
    }
    place.limit = std::min(limit, *size / memory_part);
    place.left_free = *size / memory_part;
    return place;
}

Result<SpillPlace> memory_for_spills() {
    const std::string directory = directory_in_memory();
    const auto size = size_of_memory(directory);
    if (!size) return fail(size.error());
    return SpillPlace{
        .path = directory, .limit = *size / memory_part, .left_free = *size / memory_part};
}

Status remove_spill_in_memory(const Pins& pins) {
    const std::string path = file_in_memory(pins);
    if (path.empty()) return {};
    if (::unlink(path.c_str()) == 0 || errno == ENOENT || errno == ENOTDIR) return {};
    return fail_errno(path, "removing it");
}

}  // namespace twinlog
