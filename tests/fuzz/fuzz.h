// What all fuzz targets share: the fuzzer's bytes taken apart, and checks that end the process so
// that the fuzzer keeps the input.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace twinlog::fuzz {

inline void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "violated: %s\n", what);
    std::abort();
}

// For what can fail for no other reason than the machine's.
template <class T>
T need(Result<T>&& result) {
    if (!result) {
        std::fprintf(stderr, "failed: %s\n", result.error().message().c_str());
        std::abort();
    }
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

// The input, taken from the front. Once it is used up all is zero.
class Input {
 public:
    Input(const std::uint8_t* data, std::size_t size)
        : rest_(reinterpret_cast<const char*>(data), size) {}

    [[nodiscard]] bool empty() const { return rest_.empty(); }
    std::uint8_t byte() {
        if (rest_.empty()) return 0;
        const auto value = static_cast<std::uint8_t>(rest_.front());
        rest_.remove_prefix(1);
        return value;
    }
    bool flag() { return (byte() & 1U) != 0; }
    // From 0 to most, both included.
    std::uint64_t upto(std::uint64_t most) {
        std::uint64_t value = byte();
        for (std::uint64_t reach = 0xff; reach < most && reach < 0xffffffff;) {
            value = value << 8U | byte();
            reach = reach << 8U | 0xffU;
        }
        return value % (most + 1);
    }
    // Small ones by preference, large ones near a power of two.
    std::uint64_t size(unsigned most_bits) {
        const std::uint8_t first = byte();
        if (first < 0xc0) return first;
        const unsigned bits = 1 + (first & 0x3fU) % most_bits;
        return (std::uint64_t{1} << bits) + byte() - 2;
    }
    std::string_view take(std::size_t count) {
        const std::string_view taken = rest_.substr(0, count);
        rest_.remove_prefix(taken.size());
        return taken;
    }
    std::string_view rest() { return take(rest_.size()); }

 private:
    std::string_view rest_;
};

// A directory for the whole run, in memory where there is such a place.
class ScratchDirectory {
 public:
    ScratchDirectory() {
        const std::filesystem::path memory = "/dev/shm";
        std::error_code ignored;
        const bool usable = std::filesystem::is_directory(memory, ignored);
        std::string pattern =
            ((usable ? memory : std::filesystem::temp_directory_path()) / "twinlog-fuzz-XXXXXX")
                .string();
        require(::mkdtemp(pattern.data()) != nullptr, "a directory can be made");
        path_ = pattern;
    }
    ScratchDirectory(const ScratchDirectory&) = delete;
    ScratchDirectory& operator=(const ScratchDirectory&) = delete;
    ~ScratchDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] std::string operator/(std::string_view name) const {
        return path_ + '/' + std::string(name);
    }
    void clear() const {
        for (const auto& item : std::filesystem::directory_iterator(path_)) {
            std::filesystem::remove_all(item.path());
        }
    }

 private:
    std::string path_;
};

inline const ScratchDirectory& scratch() {
    static const ScratchDirectory directory;
    return directory;
}

// Fast enough to do it thousands of times a second.
inline void put_file(const std::string& path, std::string_view contents) {
    std::FILE* const file = std::fopen(path.c_str(), "wb");
    require(file != nullptr, "a file can be made");
    require(contents.empty() || std::fwrite(contents.data(), contents.size(), 1, file) == 1,
            "a file can be written");
    require(std::fclose(file) == 0, "a file can be closed");
}

}  // namespace twinlog::fuzz
