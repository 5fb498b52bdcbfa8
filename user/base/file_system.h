// The file operations that logs rest on, behind one interface, so that tests can fill the disk, cut
// writes short and fail at any point.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace twinlog {

class FileSystem {
 public:
    FileSystem() = default;
    FileSystem(const FileSystem&) = delete;
    FileSystem& operator=(const FileSystem&) = delete;
    virtual ~FileSystem() = default;

    // For appending and reading; made if it is not there. Never through a symbolic link.
    virtual Result<UniqueFd> open_log(const std::string& path, mode_t mode) = 0;
    // For writing, empty, in the place of any other of that name. Never through a symbolic link.
    virtual Result<UniqueFd> make(const std::string& path, mode_t mode) = 0;
    // As write(2): how many bytes were taken, or -1 and errno.
    virtual ssize_t write(int fd, std::string_view bytes) = 0;
    // As ftruncate(2).
    virtual int truncate(int fd, std::uint64_t size) = 0;
    // As fsync(2).
    virtual int sync(int fd) = 0;
    virtual Status rename(const std::string& from, const std::string& to) = 0;
    // It is no error if there is no such file.
    virtual Status remove(const std::string& path) = 0;
};

// The real one; lives as long as the program.
FileSystem& real_file_system();

Result<std::uint64_t> file_size(int fd, const std::string& path);

// Whole contents; a file of more than max_size bytes is an error.
Result<std::string> read_file(const std::string& path, std::size_t max_size);

// Writes all, waiting where the file does not block. subject names it in the error.
Status write_all(int fd, std::string_view bytes, const std::string& subject);

// Makes a directory, if it is not there; its parents must be.
Status make_directory(const std::string& path, mode_t mode);

// Readers see the old contents or the new ones, never a part. If it fails, the old ones stay. One
// writer a path at a time: the new contents are first written to path + ".new". Does not wait for
// the disk: who calls it must not be held up by that, sometimes for minutes.
Status write_file_atomically(const std::string& path, std::string_view contents, mode_t mode);

}  // namespace twinlog
