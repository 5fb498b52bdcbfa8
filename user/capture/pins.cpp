#include "capture/pins.h"

#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "base/file_system.h"
#include "base/hash.h"

namespace twinlog {

namespace {

constexpr const char* bpffs = "/sys/fs/bpf";
constexpr std::string_view prefix = "twinlog-";

bool is_bpffs(const char* path) {
    struct statfs status {};
    return ::statfs(path, &status) == 0 &&
           static_cast<unsigned long>(status.f_type) == static_cast<unsigned long>(BPF_FS_MAGIC);
}

}  // namespace

Result<Pins> Pins::of_store(const std::string& store) {
    // Systemd mounts it; small hosts do not.
    if (!is_bpffs(bpffs) && ::mount("bpf", bpffs, "bpf", 0, "mode=0700") != 0) return Pins();
    const std::unique_ptr<char, decltype(&std::free)> real(::realpath(store.c_str(), nullptr),
                                                           &std::free);
    if (!real) return fail_errno(store, "finding its path");
    // The names of bpffs allow no dots, and paths are too long for them.
    std::array<char, 17> digits{};
    std::snprintf(digits.data(), digits.size(), "%016llx",
                  static_cast<unsigned long long>(fnv1a(real.get())));
    return Pins(std::string(bpffs) + "/" + std::string(prefix) + digits.data());
}

bool Pins::exist() const {
    return usable() && ::access(directory_.c_str(), F_OK) == 0;
}

Status Pins::make() {
    return make_directory(directory_, 0700);
}

Status Pins::remove() {
    std::error_code error;
    std::filesystem::remove_all(directory_, error);
    if (error) return fail(Error{directory_, "removing it", error.value(), {}});
    return {};
}

std::string Pins::path(const std::string& object) const {
    return directory_ + "/" + object;
}

std::vector<std::string> Pins::all() {
    std::vector<std::string> found;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(bpffs, error)) {
        if (entry.path().filename().string().starts_with(prefix)) found.push_back(entry.path());
    }
    return found;
}

}  // namespace twinlog
