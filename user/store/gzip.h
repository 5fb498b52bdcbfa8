// Compressed log files: gzip with Docker's word about their times in the header's extra field (moby
// daemon/logger/loggerutils/logfile.go), and ours beside it.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "format/log_format.h"

struct z_stream_s;

namespace twinlog {

// What the extra field says; Unix ns.
struct GzipFacts {
    std::optional<std::int64_t> last_ns;   // no entry is later
    std::optional<std::int64_t> first_ns;  // time of the first entry; ours
    ino_t inode = 0;                       // of the file that was compressed; ours; 0: unknown

    bool operator==(const GzipFacts&) const = default;
};

// Docker's reader of this field passes over what is ours.
std::string gzip_extra(const GzipFacts& facts);
// Of a file's first bytes; all unknown where it has no such field.
GzipFacts parse_gzip_header(std::string_view bytes);
// The same for a file that is open; none if it does not begin as gzip does.
std::optional<GzipFacts> read_gzip_header(int fd);

// Reads what was compressed by its own positions, all members of the file as one. Going on is
// cheap, going back begins anew.
class GzipReader {
 public:
    // fd is borrowed and must live longer.
    static Result<std::unique_ptr<GzipReader>> open(int fd, std::string path);
    GzipReader(const GzipReader&) = delete;
    GzipReader& operator=(const GzipReader&) = delete;
    GzipReader(GzipReader&&) = delete;
    GzipReader& operator=(GzipReader&&) = delete;
    ~GzipReader();

    // Short only at the end, or where damage begins.
    Result<std::size_t> read_at(std::uint64_t position, char* to, std::size_t size);
    // Where in the compressed file reading had to stop before its end; none so far.
    [[nodiscard]] std::optional<std::uint64_t> damaged_at() const { return damaged_at_; }

 private:
    GzipReader(int fd, std::string path);

    Status begin();
    Result<std::size_t> read_on(char* to, std::size_t size);
    void stop(bool damaged);

    int fd_;
    std::string path_;
    std::unique_ptr<z_stream_s> stream_;
    std::vector<char> input_;
    std::uint64_t taken_ = 0;     // of the compressed file
    std::uint64_t position_ = 0;  // of what is read next
    std::uint64_t member_ = 0;    // where it begins in the compressed file
    bool between_ = false;        // it has ended, and another may follow
    bool over_ = false;
    std::optional<std::uint64_t> damaged_at_;
};

// Compresses all of `from` into `to`, which is at its beginning. stop: gives up when it becomes
// true. path names `from` in errors. Writes through files.
Status gzip_copy(FileSystem& files, int from, int to, const std::string& path,
                 const GzipFacts& facts, const std::atomic<bool>& stop);

// Times of the entries of a file, by decoding all of it; none where the format has no times.
Result<GzipFacts> time_range(int fd, const std::string& path, const LogFormat& format);

}  // namespace twinlog
