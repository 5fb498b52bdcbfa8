// zlib, and the extra field by hand.
#include "store/gzip.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

#include "base/block_size.h"
#include "format/timestamp.h"

namespace twinlog {

namespace {

constexpr std::size_t block_size = read_block_size(std::size_t{256} * 1024);
constexpr int gzip_window = 15 + 16;  // zlib's largest, with gzip's header
constexpr std::size_t fixed_header = 10;
constexpr unsigned char flag_extra = 4;

Result<std::size_t> read_block(int fd, std::uint64_t at, char* to, std::size_t size,
                               const std::string& path) {
    for (;;) {
        const ssize_t got = ::pread(fd, to, size, static_cast<off_t>(at));
        if (got >= 0) return static_cast<std::size_t>(got);
        if (errno != EINTR) return fail_errno(path, "reading it");
    }
}

Status write_block(FileSystem& files, int fd, std::string_view bytes, const std::string& path) {
    while (!bytes.empty()) {
        const ssize_t written = files.write(fd, bytes);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return fail_errno(path, "writing its compressed copy");
        bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
}

// The text behind a key up to one of the characters that can end it.
std::string_view value_of(std::string_view json, std::string_view key) {
    const std::size_t at = json.find(key);
    if (at == std::string_view::npos) return {};
    json.remove_prefix(at + key.size());
    return json.substr(0, json.find_first_of("\",}"));
}

template <class Number>
std::optional<Number> number_of(std::string_view text) {
    Number value{};
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || stop != text.data() + text.size()) return std::nullopt;
    return value;
}

}  // namespace

std::string gzip_extra(const GzipFacts& facts) {
    std::string json = "{";
    if (facts.last_ns) {
        json += R"("lastTime":")";
        append_rfc3339_nano(*facts.last_ns, json);
        json += "\",";
    }
    json += "\"twinlog\":{";
    if (facts.first_ns) json += "\"first\":" + std::to_string(*facts.first_ns) + ',';
    return json + "\"inode\":" + std::to_string(facts.inode) + "}}";
}

GzipFacts parse_gzip_header(std::string_view bytes) {
    GzipFacts facts;
    if (bytes.size() < fixed_header + 2 || !bytes.starts_with("\x1f\x8b\x08") ||
        (static_cast<unsigned char>(bytes[3]) & flag_extra) == 0) {
        return facts;
    }
    const std::size_t size =
        static_cast<unsigned char>(bytes[fixed_header]) |
        static_cast<unsigned>(static_cast<unsigned char>(bytes[fixed_header + 1])) << 8U;
    const std::string_view json = bytes.substr(fixed_header + 2, size);
    facts.last_ns = parse_rfc3339(value_of(json, R"("lastTime":")"));
    facts.first_ns = number_of<std::int64_t>(value_of(json, "\"first\":"));
    facts.inode = number_of<ino_t>(value_of(json, "\"inode\":")).value_or(0);
    return facts;
}

std::optional<GzipFacts> read_gzip_header(int fd) {
    std::array<char, 512> head{};
    const auto got = read_block(fd, 0, head.data(), head.size(), {});
    const std::string_view bytes(head.data(), got ? *got : 0);
    if (!bytes.starts_with("\x1f\x8b")) return std::nullopt;
    return parse_gzip_header(bytes);
}

GzipReader::GzipReader(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

GzipReader::~GzipReader() {
    if (stream_) ::inflateEnd(stream_.get());
}

Result<std::unique_ptr<GzipReader>> GzipReader::open(int fd, std::string path) {
    std::unique_ptr<GzipReader> reader(new GzipReader(fd, std::move(path)));
    reader->input_.resize(block_size);
    if (auto begun = reader->begin(); !begun) return pass_on(std::move(begun));
    return reader;
}

Status GzipReader::begin() {
    taken_ = position_ = member_ = 0;
    over_ = between_ = false;
    damaged_at_.reset();
    if (stream_) {
        stream_->avail_in = 0;
        if (::inflateReset(stream_.get()) == Z_OK) return {};
        return fail(path_, "cannot decompress it");
    }
    stream_ = std::make_unique<z_stream_s>();
    if (::inflateInit2(stream_.get(), gzip_window) == Z_OK) return {};
    stream_.reset();
    return fail(Error{path_, "cannot decompress it", ENOMEM, {}});
}

void GzipReader::stop(bool damaged) {
    over_ = true;
    if (!damaged) return;
    // Where nothing came out of a member, it is none.
    const bool is_none = member_ > 0 && stream_->total_out == 0;
    damaged_at_ = is_none ? member_ : taken_ - stream_->avail_in;
}

Result<std::size_t> GzipReader::read_on(char* to, std::size_t size) {
    z_stream_s& z = *stream_;
    z.next_out = reinterpret_cast<Bytef*>(to);
    z.avail_out = static_cast<uInt>(std::min<std::size_t>(size, block_size));
    const std::size_t room = z.avail_out;
    while (!over_ && z.avail_out == room) {
        if (z.avail_in == 0) {
            auto got = read_block(fd_, taken_, input_.data(), input_.size(), path_);
            if (!got) return got;
            if (*got == 0) {
                stop(!between_);
                break;
            }
            taken_ += *got;
            z.next_in = reinterpret_cast<Bytef*>(input_.data());
            z.avail_in = static_cast<uInt>(*got);
        }
        if (between_) {
            // As gzip(1) does: zeros behind a member are padding.
            const auto* const end = z.next_in + z.avail_in;
            z.next_in = std::find_if(z.next_in, z.next_in + z.avail_in,
                                     [](Bytef byte) { return byte != 0; });
            z.avail_in = static_cast<uInt>(end - z.next_in);
            if (z.avail_in == 0) continue;
            member_ = taken_ - z.avail_in;
            between_ = false;
            if (::inflateReset(&z) != Z_OK) return fail(path_, "cannot decompress it");
        }
        const int result = ::inflate(&z, Z_NO_FLUSH);
        if (result == Z_STREAM_END) {
            between_ = true;
        } else if (result != Z_OK && result != Z_BUF_ERROR) {
            stop(true);
        }
    }
    const std::size_t made = room - z.avail_out;
    position_ += made;
    return made;
}

Result<std::size_t> GzipReader::read_at(std::uint64_t position, char* to, std::size_t size) {
    if (position < position_) {
        if (auto begun = begin(); !begun) return pass_on(std::move(begun));
    }
    std::vector<char> passed;
    while (position_ < position && !over_) {
        passed.resize(block_size);
        const std::uint64_t rest = position - position_;
        auto got = read_on(passed.data(), std::min<std::uint64_t>(rest, passed.size()));
        if (!got) return got;
    }
    std::size_t done = 0;
    while (position_ >= position && done < size && !over_) {
        auto got = read_on(to + done, size - done);
        if (!got) return got;
        done += *got;
    }
    return done;
}

Status gzip_copy(FileSystem& files, int from, int to, const std::string& path,
                 const GzipFacts& facts, const std::atomic<bool>& stop) {
    z_stream_s z{};
    // As Go writes it: no time, system unknown.
    constexpr int system_unknown = 255;
    constexpr int default_memory = 8;
    // Docker's default level costs three times as much, more than all else that is done to a log.
    constexpr int level = Z_BEST_SPEED;
    if (::deflateInit2(&z, level, Z_DEFLATED, gzip_window, default_memory, Z_DEFAULT_STRATEGY) !=
        Z_OK) {
        return fail(Error{path, "compressing it", ENOMEM, {}});
    }
    const std::unique_ptr<z_stream_s, int (*)(z_stream_s*)> ends(&z, ::deflateEnd);
    std::string extra = gzip_extra(facts);
    gz_header header{};
    header.os = system_unknown;
    header.extra = reinterpret_cast<Bytef*>(extra.data());
    header.extra_len = static_cast<uInt>(extra.size());
    ::deflateSetHeader(&z, &header);

    std::vector<char> input(block_size);
    std::vector<char> output(block_size);
    int result = Z_OK;
    for (std::uint64_t at = 0; result != Z_STREAM_END;) {
        if (stop) return fail(Error{path, "compressing it", ECANCELED, {}});
        auto got = read_block(from, at, input.data(), input.size(), path);
        if (!got) return pass_on(std::move(got));
        at += *got;
        z.next_in = reinterpret_cast<Bytef*>(input.data());
        z.avail_in = static_cast<uInt>(*got);
        do {
            z.next_out = reinterpret_cast<Bytef*>(output.data());
            z.avail_out = static_cast<uInt>(output.size());
            result = ::deflate(&z, *got == 0 ? Z_FINISH : Z_NO_FLUSH);
            const std::string_view made(output.data(), output.size() - z.avail_out);
            if (auto written = write_block(files, to, made, path); !written) return written;
        } while (z.avail_out == 0);
    }
    return {};
}

Result<GzipFacts> time_range(int fd, const std::string& path, const LogFormat& format) {
    GzipFacts facts;
    if (!format.keeps().times) return facts;
    const auto decoder = format.decoder({});
    std::string block;
    std::size_t at = 0;
    std::uint64_t begin = 0;  // of block in the file
    bool at_end = false;
    for (;;) {
        const Frame frame = decoder->decode(std::string_view(block).substr(at), at_end);
        if (at < block.size() && frame.state != FrameState::need_more) {
            if (frame.state == FrameState::whole) {
                const std::int64_t time = frame.entry.time_ns;
                if (!facts.first_ns) facts.first_ns = time;
                facts.last_ns = std::max(facts.last_ns.value_or(time), time);
            }
            at += frame.size;
            continue;
        }
        if (at_end) return facts;
        block.erase(0, at);
        begin += at;
        at = 0;
        const std::size_t have = block.size();
        block.resize(std::max(have + block_size, std::min(frame.size, 8 * block_size)));
        auto got = read_block(fd, begin + have, block.data() + have, block.size() - have, path);
        if (!got) return pass_on(std::move(got));
        block.resize(have + *got);
        at_end = *got == 0;
    }
}

}  // namespace twinlog
