// A fresh directory for one test case, removed with all that is in it.
#pragma once

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

class TempDirectory {
 public:
    TempDirectory() {
        // In memory where there is such a place: many tests make a file for each byte of one.
        const std::filesystem::path memory = "/dev/shm";
        std::error_code ignored;
        const bool usable = std::filesystem::is_directory(memory, ignored);
        std::string pattern =
            ((usable ? memory : std::filesystem::temp_directory_path()) / "twinlog-test-XXXXXX")
                .string();
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        path_ = pattern;
    }
    TempDirectory(const TempDirectory&) = delete;
    TempDirectory& operator=(const TempDirectory&) = delete;
    ~TempDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }

    [[nodiscard]] std::string path() const { return path_.string(); }
    [[nodiscard]] std::string operator/(std::string_view name) const {
        return (path_ / name).string();
    }

 private:
    std::filesystem::path path_;
};

// Whole contents; empty if there is no such file.
inline std::string contents_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline void put_file(const std::string& path, std::string_view contents) {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file << contents;
    REQUIRE(file.flush());
}
