// Reads every entry of every file. What it mends it writes anew beside the damaged file first.
#include "read/verify.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "base/byte_size.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/unique_fd.h"
#include "format/docker_local.h"
#include "format/log_format.h"
#include "read/log_file.h"
#include "read/log_progress.h"
#include "store/gzip.h"
#include "store/layout.h"
#include "store/pod_path.h"
#include "store/removal.h"
#include "store/rotation.h"

namespace twinlog {

namespace {

constexpr std::string_view draft_suffix = ".repair.tmp";
constexpr std::size_t write_size = std::size_t{256} * 1024;

struct CloseDirectory {
    void operator()(DIR* directory) const { ::closedir(directory); }
};

Result<std::vector<std::string>> names_in(const std::string& directory) {
    const std::unique_ptr<DIR, CloseDirectory> open(::opendir(directory.c_str()));
    if (!open) return fail_errno(directory, "listing it");
    std::vector<std::string> names;
    while (const dirent* const item = ::readdir(open.get())) {
        const std::string_view name(item->d_name);
        if (name != "." && name != "..") names.emplace_back(name);
    }
    std::sort(names.begin(), names.end());
    return names;
}

std::string count_of(std::uint64_t bytes) {
    return format_grouped(bytes) + (bytes == 1 ? " byte" : " bytes");
}

// The new contents of a damaged file, which take its place when they are complete.
class Draft {
 public:
    explicit Draft(std::string path)
        : path_(std::move(path)), draft_(path_ + std::string(draft_suffix)) {}
    Draft(const Draft&) = delete;
    Draft& operator=(const Draft&) = delete;
    Draft(Draft&&) = delete;
    Draft& operator=(Draft&&) = delete;
    ~Draft() {
        ::unlink(draft_.c_str());
        ::unlink(plain().c_str());
    }

    Status add(std::string_view bytes) {
        buffer_ += bytes;
        return buffer_.size() < write_size ? Status{} : write_out();
    }

    // Compresses what was added if the file that is replaced was compressed.
    Status replace(bool compressed, const LogFormat& format) {
        if (auto made = make(); !made) return made;
        if (auto written = write_out(); !written) return written;
        struct stat old {};
        if (::stat(path_.c_str(), &old) != 0) return fail_errno(path_, "looking at it");
        UniqueFd last(::dup(fd_.get()));
        if (compressed) {
            auto facts = time_range(fd_.get(), path_, format);
            if (!facts) return pass_on(std::move(facts));
            if (::rename(draft_.c_str(), plain().c_str()) != 0) {
                return fail_errno(draft_, "renaming it");
            }
            last.reset(
                ::open(draft_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, layout::file_mode));
            if (!last.valid()) return fail_errno(draft_, "making it");
            const std::atomic<bool> stop = false;
            if (auto copied =
                    gzip_copy(real_file_system(), fd_.get(), last.get(), path_, *facts, stop);
                !copied) {
                return copied;
            }
        }
        // Its owner, its mode and its age are the log's.
        const std::array<timespec, 2> times = {old.st_atim, old.st_mtim};
        if (::fchown(last.get(), old.st_uid, old.st_gid) != 0 ||
            ::fchmod(last.get(), old.st_mode & 07777U) != 0 ||
            ::futimens(last.get(), times.data()) != 0 || ::fsync(last.get()) != 0) {
            return fail_errno(draft_, "writing it");
        }
        if (::rename(draft_.c_str(), path_.c_str()) != 0) return fail_errno(path_, "replacing it");
        return {};
    }

 private:
    [[nodiscard]] std::string plain() const { return draft_ + ".plain.tmp"; }

    Status make() {
        if (fd_.valid()) return {};
        fd_.reset(::open(draft_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
                         layout::file_mode));
        if (!fd_.valid()) return fail_errno(draft_, "making it");
        return {};
    }

    Status write_out() {
        if (auto made = make(); !made) return made;
        Status written = write_all(fd_.get(), buffer_, draft_);
        if (written) buffer_.clear();
        return written;
    }

    std::string path_;
    std::string draft_;
    UniqueFd fd_;
    std::string buffer_;
};

class Verifier {
 public:
    Verifier(std::string directory, VerifyOptions options)
        : directory_(std::move(directory)), options_(std::move(options)) {}

    Verification run() {
        auto names = names_in(directory_);
        if (!names) {
            // Retention removes whole containers.
            if (names.error().code != ENOENT) tell(directory_, names.error().message());
            return std::move(result_);
        }
        check_info();
        for (const LogFormat* format : formats()) {
            const LogOwner owner{info_.id, info_.name, info_.runtime, info_.labels};
            for (const LogPlace& place : format->places(owner)) {
                if (place.in_pods && options_.pods.empty()) continue;
                check_log(place.in_pods
                              ? options_.pods + "/" + pod_path(options_.pods, place, info_.id)
                              : directory_ + "/" + place.path,
                          *format);
            }
        }
        for (const std::string& name : *names) check_leftover(directory_ + "/" + name);
        return std::move(result_);
    }

 private:
    Problem& tell(const std::string& file, std::string what) {
        return result_.problems.emplace_back(Problem{file, std::move(what)});
    }

    // Does what mends a problem, or adds why it could not be done.
    void mend(Problem& problem, const std::function<Status()>& action) const {
        if (!options_.repair) return;
        const Status done = action();
        problem.mended = done.has_value();
        if (!done) problem.what += "; not mended: " + done.error().message();
    }

    void check_info() {
        const std::string id = directory_.substr(directory_.rfind('/') + 1);
        const std::string path = directory_ + "/" + std::string(layout::info_file);
        auto info = read_container_info(directory_);
        if (info) {
            info_ = std::move(*info);
            return;
        }
        info_ = undescribed(id);
        constexpr std::size_t short_id = 12;
        info_.name = id.substr(0, short_id);
        info_.ended_ns = wall_time_now();
        // The file is named already, and the way out is this program's.
        const Error& error = info.error();
        mend(tell(path, Error{{}, error.what, error.code, {}}.message()),
             [&] { return write_file_atomically(path, to_json(info_), layout::file_mode); });
    }

    // A file that somebody began to make and did not finish.
    void check_leftover(const std::string& path) {
        if (options_.live || !(path.ends_with(".tmp") || path.ends_with(".new"))) return;
        struct stat status {};
        if (::lstat(path.c_str(), &status) != 0) return;
        mend(
            tell(path, "half-made file of " + count_of(static_cast<std::uint64_t>(status.st_size))),
            [&]() -> Status {
                if (::unlink(path.c_str()) != 0) return fail_errno(path, "removing it");
                return {};
            });
    }

    void check_log(const std::string& log, const LogFormat& format) {
        const std::size_t slash = log.rfind('/');
        const std::string directory = log.substr(0, slash);
        auto names = names_in(directory);
        if (!names) {
            if (names.error().code != ENOENT) tell(directory, names.error().message());
            return;
        }
        std::map<int, RotatedName, std::greater<>> files;  // oldest first
        for (const std::string& name : *names) {
            const auto rotated = parse_rotated_name(name, log.substr(slash + 1));
            if (!rotated) continue;
            const auto [known, added] = files.emplace(rotated->number, *rotated);
            if (added) continue;
            // The compressed one got its name when it was whole.
            known->second.compressed = true;
            if (options_.live) continue;
            const std::string plain = log + rotated_suffix({rotated->number, false});
            mend(tell(plain, "there is a compressed one of the same number"), [&]() -> Status {
                if (::unlink(plain.c_str()) != 0) return fail_errno(plain, "removing it");
                return {};
            });
        }
        check_numbers(log, files);
        progress_ = {};
        for (const auto& [number, name] : files) {
            const std::string path = log + rotated_suffix(name);
            ++result_.files;
            struct stat status {};
            if (::lstat(path.c_str(), &status) == 0) {
                result_.bytes += static_cast<std::uint64_t>(status.st_size);
            }
            if (&format == &docker_local::format()) {
                check_local(directory, path, name);
            } else if (format.ending() != Ending::nothing) {
                check_copy(path, name, format);
            }
        }
        if (&format == &docker_local::format()) check_end(log);
    }

    void check_numbers(const std::string& log, std::map<int, RotatedName, std::greater<>>& files) {
        if (files.empty() || options_.live) return;
        std::map<int, RotatedName, std::greater<>> closed;
        int next = files.contains(0) ? 0 : 1;
        for (auto file = files.rbegin(); file != files.rend(); ++file, ++next) {
            RotatedName name = file->second;
            if (name.number != next && name.number > 0) {
                const RotatedName closer{next, name.compressed};
                Problem& problem =
                    tell(log + rotated_suffix(name), "the file number " + std::to_string(next) +
                                                         ", which is newer than it, is missing");
                mend(problem, [&]() -> Status {
                    if (::rename((log + rotated_suffix(name)).c_str(),
                                 (log + rotated_suffix(closer)).c_str()) != 0) {
                        return fail_errno(log, "closing up the numbers");
                    }
                    return {};
                });
                if (problem.mended) {
                    name = closer;
                } else {
                    next = name.number;
                }
            }
            closed.emplace(name.number, name);
        }
        files = std::move(closed);
    }

    void check_local(const std::string& directory, const std::string& path,
                     const RotatedName& name) {
        const UniqueFd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        auto file = LogFile::open(fd.get(), path.substr(path.rfind('/') + 1), directory);
        if (!file) {
            tell(path, file.error().message());
            return;
        }
        const bool grows = options_.live && name.number == 0;
        Draft draft(path);
        Status drafted;
        const std::size_t first_problem = result_.problems.size();
        for (bool over = false; !over && drafted;) {
            const auto step =
                file->next(grows ? LogFile::Ending::growing : LogFile::Ending::complete);
            if (!step) {
                tell(path, step.error().message());
                return;
            }
            switch (*step) {
                case LogFile::Step::entry:
                    ++result_.entries;
                    if (const std::string gaps =
                            missing_before(path, file->entry(), file->position());
                        options_.repair) {
                        drafted = draft.add(gaps);
                        if (drafted) drafted = draft.add(file->entry_bytes());
                    }
                    break;
                case LogFile::Step::damage:
                    tell(path, describe(file->damage()));
                    break;
                case LogFile::Step::at_end:
                    over = true;
                    break;
            }
        }
        if (result_.problems.size() == first_problem || !options_.repair) return;
        if (drafted) drafted = draft.replace(name.compressed, docker_local::format());
        for (std::size_t i = first_problem; i < result_.problems.size(); ++i) {
            mend(result_.problems[i], [&] { return drafted; });
        }
    }

    static std::string describe(const Damage& damage) {
        const std::string place = " at byte " + std::to_string(damage.position);
        switch (damage.kind) {
            case Damage::Kind::torn:
                return "the last " + count_of(damage.bytes) + place + " are no whole entry";
            case Damage::Kind::compressed:
                return "it cannot be decompressed from byte " + std::to_string(damage.position) +
                       " on, " + count_of(damage.bytes) + " before its end";
            default:
                return count_of(damage.bytes) + place + " are damaged";
        }
    }

    // Tells of bytes of the entry's stream that no entry accounts for; the gap that stands for
    // them.
    std::string missing_before(const std::string& path, const Entry& entry,
                               std::uint64_t position) {
        std::string gap;
        StreamProgress& progress = progress_[static_cast<std::size_t>(entry.source)];
        if (const std::uint64_t bytes = progress.missing_before(entry); bytes > 0) {
            tell(path, count_of(bytes) + " of " + std::string(source_name(entry.source)) +
                           " are missing before the entry that ends at byte " +
                           std::to_string(position));
            append_gap(entry.source, entry.time_ns, entry.run, progress.next, bytes, gap);
        }
        progress.pass(entry);
        return gap;
    }

    static void append_gap(Source source, std::int64_t time_ns, std::uint32_t run,
                           std::uint64_t position, std::uint64_t bytes, std::string& out) {
        docker_local::append(Entry{.source = source,
                                   .time_ns = time_ns,
                                   .line = {},
                                   .partial = {},
                                   .run = run,
                                   .position = position,
                                   .writer = {},
                                   .gap = Gap{bytes, GapReason::damaged}},
                             out);
    }

    // What the cached log's last entries were is known once the container has ended; what retention
    // took of them is no damage.
    void check_end(const std::string& log) {
        if (info_.state != ContainerState::ended) return;
        const LogEnds ends = log_ends(info_);
        const auto missing = missing_ends(ends, progress_, /*from_start=*/true);
        if (missing.empty()) return;
        const auto removal = read_removal(directory_);
        if (removal && removal->explains(ends)) return;
        const std::size_t first_problem = result_.problems.size();
        std::string gaps;
        for (const MissingEnd& end : missing) {
            tell(log, (end.at_most ? "up to " : "") + count_of(end.bytes) + " of " +
                          std::string(source_name(end.source)) +
                          " are missing at the end of the log");
            append_gap(end.source, info_.ended_ns, end.run, end.position, end.bytes, gaps);
        }
        if (!options_.repair) return;
        Status added = add_to(log, gaps);
        for (std::size_t i = first_problem; i < result_.problems.size(); ++i) {
            mend(result_.problems[i], [&] { return added; });
        }
    }

    static Status add_to(const std::string& log, std::string_view bytes) {
        const UniqueFd fd(
            ::open(log.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
                   layout::file_mode));
        struct stat status {};
        if (!fd.valid() || ::fstat(fd.get(), &status) != 0) return fail_errno(log, "opening it");
        if (!S_ISREG(status.st_mode)) return fail(log, "not a regular file", "remove it first");
        if (auto written = write_all(fd.get(), bytes, log); !written) return written;
        if (::fsync(fd.get()) != 0) return fail_errno(log, "writing it");
        return {};
    }

    // write_size bytes, fewer at the end.
    static Result<std::size_t> read_at(int fd, GzipReader* gzip, const std::string& path,
                                       std::uint64_t position, char* to) {
        if (gzip != nullptr) return gzip->read_at(position, to, write_size);
        for (;;) {
            const ssize_t got = ::pread(fd, to, write_size, static_cast<off_t>(position));
            if (got >= 0) return static_cast<std::size_t>(got);
            if (errno != EINTR) return fail_errno(path, "reading it");
        }
    }

    // A copy in a format of lines.
    void check_copy(const std::string& path, const RotatedName& name, const LogFormat& format) {
        const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
        if (!fd.valid()) {
            const Status failed = fail_errno(path, "opening it");
            tell(path, failed.error().message());
            return;
        }
        std::unique_ptr<GzipReader> gzip;
        if (name.compressed) {
            auto opened = GzipReader::open(fd.get(), path);
            if (!opened) {
                tell(path, opened.error().message());
                return;
            }
            gzip = std::move(*opened);
        }
        const auto decoder = format.decoder({});
        const bool grows = options_.live && name.number == 0;
        Draft draft(path);
        Status drafted;
        const std::size_t first_problem = result_.problems.size();
        std::string block;
        std::size_t at = 0;          // in block
        std::uint64_t position = 0;  // of that in the file
        std::uint64_t good = 0;      // what is not damaged ends there
        const auto tell_damage = [&] {
            if (good == position) return;
            tell(path,
                 count_of(position - good) + " at byte " + std::to_string(good) + " are damaged");
        };
        for (bool at_end = false;;) {
            const std::string_view rest = std::string_view(block).substr(at);
            const Frame frame = decoder->decode(rest, at_end);
            if (!rest.empty() && frame.state != FrameState::need_more) {
                const bool whole = frame.state == FrameState::whole;
                if (whole) {
                    tell_damage();
                    if (options_.repair) drafted = draft.add(rest.substr(0, frame.size));
                    ++result_.entries;
                }
                position += frame.size;
                at += frame.size;
                if (whole) good = position;
                if (!drafted) break;
                continue;
            }
            if (at_end) break;
            block.erase(0, at);
            at = 0;
            const std::size_t have = block.size();
            block.resize(have + write_size);
            auto got = read_at(fd.get(), gzip.get(), path, position + have, block.data() + have);
            if (!got) {
                tell(path, got.error().message());
                return;
            }
            block.resize(have + *got);
            at_end = *got == 0;
        }
        tell_damage();
        block.erase(0, at);
        if (!block.empty() && !grows && drafted) {
            tell(path, "the last " + count_of(block.size()) + " at byte " +
                           std::to_string(position) + " are no whole entry");
        }
        if (gzip && gzip->damaged_at()) {
            tell(path, "it cannot be decompressed from byte " +
                           std::to_string(*gzip->damaged_at()) + " on");
        }
        if (result_.problems.size() == first_problem || !options_.repair) return;
        if (drafted) drafted = draft.replace(name.compressed, format);
        for (std::size_t i = first_problem; i < result_.problems.size(); ++i) {
            mend(result_.problems[i], [&] { return drafted; });
        }
    }

    std::string directory_;
    VerifyOptions options_;
    ContainerInfo info_;
    LogProgress progress_;
    Verification result_;
};

}  // namespace

Verification verify_container(const std::string& directory, const VerifyOptions& options) {
    return Verifier(directory, options).run();
}

}  // namespace twinlog
