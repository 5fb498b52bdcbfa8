// The real file system, to derive from: a test says only what is different.
#pragma once

#include <string>
#include <string_view>

#include "base/file_system.h"

class RealFiles : public twinlog::FileSystem {
 public:
    twinlog::Result<twinlog::UniqueFd> open_log(const std::string& path, mode_t mode) override {
        return twinlog::real_file_system().open_log(path, mode);
    }
    twinlog::Result<twinlog::UniqueFd> make(const std::string& path, mode_t mode) override {
        return twinlog::real_file_system().make(path, mode);
    }
    ssize_t write(int fd, std::string_view bytes) override {
        return twinlog::real_file_system().write(fd, bytes);
    }
    int truncate(int fd, std::uint64_t size) override {
        return twinlog::real_file_system().truncate(fd, size);
    }
    int sync(int fd) override { return twinlog::real_file_system().sync(fd); }
    twinlog::Status rename(const std::string& from, const std::string& to) override {
        return twinlog::real_file_system().rename(from, to);
    }
    twinlog::Status remove(const std::string& path) override {
        return twinlog::real_file_system().remove(path);
    }
};
