// The files that one log consists of: their names, their order, and which of them are compressed.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "base/result.h"
#include "format/log_format.h"

namespace twinlog {

// Name of a rotated file behind the live one's: number 1 is the newest. Number 0 is the live file.
struct RotatedName {
    int number = 0;
    bool compressed = false;

    bool operator==(const RotatedName&) const = default;
};

// "X" is number 0 of log X, "X.3" and "X.3.gz" are its third. None for all else.
std::optional<RotatedName> parse_rotated_name(std::string_view name, std::string_view log);
std::string rotated_suffix(const RotatedName& name);

// Thread-safe: the log's writer rotates while a worker compresses. Neither waits for more than some
// renaming.
class Rotation {
 public:
    // max_file: how many files the log may have, the live one included.
    Rotation(FileSystem& files, std::string path, int max_file, const LogFormat& format)
        : files_(files), path_(std::move(path)), max_file_(max_file), format_(format) {}

    // The live file.
    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] std::string path(const RotatedName& name) const {
        return path_ + rotated_suffix(name);
    }
    [[nodiscard]] int max_file() const { return max_file_; }

    // Gives every file the next number, throws the oldest away if there are too many. There is no
    // live file after it. Docker's order: oldest away, shift. What fails half-way goes on where it
    // was when it is tried again, and costs no further file.
    Status rotate();
    // Removes what a crash left half-made, and files beyond max_file; once, because later such
    // files are in the making.
    Status clean();
    // Compresses all rotated files that are not; slow. stop: gives up when it becomes true. What
    // fails is told once by take_error().
    void compress(const std::atomic<bool>& stop);
    // Removes a rotated file, if it is still the one with this inode.
    void remove(const std::string& path, ino_t inode);
    std::optional<Error> take_error();

 private:
    Status remove_superseded(std::vector<RotatedName>& names);
    Status compress_next(const std::atomic<bool>& stop, bool& more);
    Status commit(ino_t inode, const std::string& made);

    FileSystem& files_;
    std::string path_;
    int max_file_;
    const LogFormat& format_;
    std::mutex names_;  // held while files are renamed or removed
    bool cleaned_ = false;
    std::mutex error_guard_;
    std::optional<Error> error_;
    int reported_code_ = 0;
};

}  // namespace twinlog
