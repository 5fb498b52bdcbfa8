// Renaming, and compression in the background: into a file of another name first, flushed to the
// disk, then both names change at once as far as readers can see.
#include "store/rotation.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <utility>

#include "base/unique_fd.h"
#include "store/gzip.h"
#include "store/layout.h"

namespace twinlog {

namespace {

constexpr std::string_view compressed_suffix = ".gz";
constexpr std::string_view making_suffix = ".gz.tmp";
constexpr std::string_view leaving_suffix = ".old.tmp";

struct CloseDirectory {
    void operator()(DIR* directory) const { ::closedir(directory); }
};

std::pair<std::string, std::string> split(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) return {".", path};
    return {path.substr(0, slash), path.substr(slash + 1)};
}

// The log's files that are there, in no order.
Result<std::vector<RotatedName>> list(const std::string& path) {
    const auto [directory, log] = split(path);
    const std::unique_ptr<DIR, CloseDirectory> open(::opendir(directory.c_str()));
    if (!open) return fail_errno(directory, "listing it");
    std::vector<RotatedName> names;
    while (const dirent* const item = ::readdir(open.get())) {
        if (const auto name = parse_rotated_name(item->d_name, log)) names.push_back(*name);
    }
    return names;
}

// Removes the file unless it was made whole.
class Draft {
 public:
    Draft(FileSystem& files, std::string path) : files_(files), path_(std::move(path)) {}
    Draft(const Draft&) = delete;
    Draft& operator=(const Draft&) = delete;
    Draft(Draft&&) = delete;
    Draft& operator=(Draft&&) = delete;
    ~Draft() {
        if (!path_.empty()) (void)files_.remove(path_);
    }
    void keep() { path_.clear(); }

 private:
    FileSystem& files_;
    std::string path_;
};

}  // namespace

std::optional<RotatedName> parse_rotated_name(std::string_view name, std::string_view log) {
    if (!name.starts_with(log)) return std::nullopt;
    name.remove_prefix(log.size());
    RotatedName rotated;
    if (name.empty()) return rotated;
    if (name.ends_with(compressed_suffix)) {
        rotated.compressed = true;
        name.remove_suffix(compressed_suffix.size());
    }
    if (name.size() < 2 || name[0] != '.' || name[1] < '1' || name[1] > '9') return std::nullopt;
    const char* const end = name.data() + name.size();
    const auto [stop, error] = std::from_chars(name.data() + 1, end, rotated.number);
    if (error != std::errc{} || stop != end) return std::nullopt;
    return rotated;
}

std::string rotated_suffix(const RotatedName& name) {
    std::string suffix;
    if (name.number == 0) return suffix;
    suffix += '.';
    suffix += std::to_string(name.number);
    if (name.compressed) suffix += compressed_suffix;
    return suffix;
}

// Where both forms of a file are, the compressed one got its name when it was whole.
Status Rotation::remove_superseded(std::vector<RotatedName>& names) {
    const auto is_superseded = [all = names](const RotatedName& name) {
        return name.number > 0 && !name.compressed &&
               std::find(all.begin(), all.end(), RotatedName{name.number, true}) != all.end();
    };
    for (const RotatedName& name : names) {
        if (!is_superseded(name)) continue;
        if (auto removed = files_.remove(path(name)); !removed) return removed;
    }
    std::erase_if(names, is_superseded);
    return {};
}

Status Rotation::rotate() {
    const std::lock_guard lock(names_);
    if (max_file_ <= 1) return files_.remove(path_);
    auto names = list(path_);
    if (!names) return pass_on(std::move(names));
    if (auto removed = remove_superseded(*names); !removed) return removed;
    const auto form_of = [&names](int number) {
        return std::find_if(names->begin(), names->end(),
                            [number](const RotatedName& name) { return name.number == number; });
    };
    // Up to the first number that nobody has: a rotation that did not get to its end left one.
    int last = 1;
    while (last < max_file_ && form_of(last) != names->end()) ++last;
    if (last == max_file_) {
        --last;
        if (auto removed = files_.remove(path(*form_of(last))); !removed) return removed;
    }
    for (int number = last; number > 0; --number) {
        const auto form = form_of(number - 1);
        if (form == names->end()) continue;  // the live file, if the last try came that far
        auto renamed = files_.rename(path(*form), path({number, form->compressed}));
        if (!renamed && renamed.error().code != ENOENT) return renamed;
    }
    return {};
}

Status Rotation::clean() {
    const std::lock_guard lock(names_);
    if (cleaned_) return {};
    for (const std::string_view suffix : {making_suffix, leaving_suffix}) {
        if (auto removed = files_.remove(path_ + std::string(suffix)); !removed) return removed;
    }
    auto names = list(path_);
    if (!names) return pass_on(std::move(names));
    if (auto removed = remove_superseded(*names); !removed) return removed;
    for (const RotatedName& name : *names) {
        if (name.number < std::max(max_file_, 1)) continue;
        if (auto removed = files_.remove(path(name)); !removed) return removed;
    }
    cleaned_ = true;
    return {};
}

void Rotation::compress(const std::atomic<bool>& stop) {
    for (bool more = true; more && !stop;) {
        more = false;
        auto done = compress_next(stop, more);
        const std::lock_guard lock(error_guard_);
        if (done) {
            reported_code_ = 0;
        } else if (done.error().code != ECANCELED && done.error().code != reported_code_) {
            reported_code_ = done.error().code;
            error_ = std::move(done).error();
        }
    }
}

std::optional<Error> Rotation::take_error() {
    const std::lock_guard lock(error_guard_);
    return std::exchange(error_, std::nullopt);
}

void Rotation::remove(const std::string& path, ino_t inode) {
    const std::lock_guard lock(names_);
    struct stat status {};
    // What cannot be removed is looked at again the next time.
    if (::lstat(path.c_str(), &status) == 0 && status.st_ino == inode) (void)files_.remove(path);
}

// The oldest plain file; more: it was one, and it is compressed now.
Status Rotation::compress_next(const std::atomic<bool>& stop, bool& more) {
    UniqueFd from;
    std::string name;
    {
        const std::lock_guard lock(names_);
        auto names = list(path_);
        if (!names) return pass_on(std::move(names));
        int oldest = 0;
        for (const RotatedName& found : *names) {
            if (!found.compressed) oldest = std::max(oldest, found.number);
        }
        if (oldest == 0) return {};
        name = path({oldest, false});
        from.reset(::open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
        if (!from.valid()) return fail_errno(name, "opening it to compress it");
    }
    struct stat status {};
    if (::fstat(from.get(), &status) != 0) return fail_errno(name, "looking at it");
    if (!S_ISREG(status.st_mode)) return fail(name, "not a regular file");
    auto facts = time_range(from.get(), name, format_);
    if (!facts) return pass_on(std::move(facts));
    facts->inode = status.st_ino;

    const std::string making = path_ + std::string(making_suffix);
    const auto to = files_.make(making, layout::file_mode);
    if (!to) return fail(to.error());
    Draft draft(files_, making);
    if (auto copied = gzip_copy(files_, from.get(), to->get(), name, *facts, stop); !copied) {
        return copied;
    }
    // Its age is that of what it holds.
    const std::array<timespec, 2> times = {status.st_atim, status.st_mtim};
    ::futimens(to->get(), times.data());
    if (files_.sync(to->get()) != 0) return fail_errno(making, "writing it to the disk");
    if (auto committed = commit(status.st_ino, making); !committed) return committed;
    draft.keep();
    more = true;
    return {};
}

// Puts the compressed file in the place of the plain one, whatever its number is by now.
Status Rotation::commit(ino_t inode, const std::string& made) {
    const std::string leaving = path_ + std::string(leaving_suffix);
    {
        const std::lock_guard lock(names_);
        auto names = list(path_);
        if (!names) return pass_on(std::move(names));
        const auto found = std::find_if(names->begin(), names->end(), [&](const RotatedName& name) {
            struct stat status {};
            return name.number > 0 && !name.compressed &&
                   ::lstat(path(name).c_str(), &status) == 0 && status.st_ino == inode;
        });
        if (found == names->end()) {
            // Rotated away meanwhile.
            return files_.remove(made);
        }
        const std::string plain = path(*found);
        const std::string compressed = path({found->number, true});
        if (auto renamed = files_.rename(made, compressed); !renamed) return renamed;
        // Freeing its blocks may take long: that is done without the lock.
        if (auto renamed = files_.rename(plain, leaving); !renamed) return renamed;
    }
    return files_.remove(leaving);
}

}  // namespace twinlog
