// The order of things in following: what the directory says is looked at first and the files are
// read to their end after it, so "ended" and "rotated" are believed only when nothing more can
// come.
#include "read/log_reader.h"

#include <fcntl.h>
#include <unistd.h>

#include <limits>
#include <utility>

#include "read/log_files.h"
#include "store/clock_steps.h"
#include "store/container_info.h"
#include "store/layout.h"
#include "store/removal.h"

namespace twinlog {
namespace {

// While there is plenty to read, how many entries pass between two looks at the directory: new
// files must be opened before rotation deletes them.
constexpr std::uint32_t look_interval = 1024;

}  // namespace

Result<LogReader> LogReader::open(std::string directory, ReadOptions options) {
    LogReader reader(std::move(directory), options);
    reader.directory_fd_.reset(
        ::open(reader.directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!reader.directory_fd_.valid()) {
        return fail_errno(reader.directory_, "cannot open the container's directory");
    }
    // Events count from here, so whatever happens after the looks below is told of.
    if (options.follow) {
        Result<DirectoryWatch> watch =
            DirectoryWatch::open(reader.directory_, std::string(layout::info_file));
        if (!watch) return fail(watch.error());
        reader.watch_ = std::move(*watch);
    }
    if (Status loaded = reader.load_info(); !loaded) return fail(loaded.error());
    if (Status added = reader.add_new_files(); !added) return fail(added.error());
    const std::size_t all_files = reader.files_.size();
    if (options.tail) {
        if (Status sought = reader.seek_tail(); !sought) return fail(sought.error());
    } else if (options.since_ns) {
        if (Status sought = reader.seek_since(); !sought) return fail(sought.error());
    }
    reader.from_start_ = reader.files_.size() == all_files &&
                         (reader.files_.empty() || reader.files_.front().position() == 0);
    return reader;
}

// Sets live_ and following_. Without a container.json, as where the log was copied from elsewhere,
// nobody writes.
Status LogReader::load_info() {
    live_ = false;
    const bool first = !run_;
    const Result<ContainerInfo> info = read_container_info(directory_);
    if (!info) {
        following_ = false;
        if (info.error().code == ENOENT) return {};
        return fail(info.error());
    }
    if (first) run_ = info->run;
    set_back_ns_ = info->set_back_ns;
    live_ = info->state == ContainerState::running;
    ends_ = live_ ? LogEnds{} : log_ends(*info);
    // A later run means that the one that was followed has ended.
    following_ = options_.follow && live_ && info->run == *run_;
    return {};
}

Status LogReader::add_new_files() {
    std::optional<FileIdentity> last;
    if (!files_.empty()) last = files_.back().identity();
    Result<NewerFiles> newer = open_newer_files(directory_fd_.get(), directory_,
                                                files_.empty() ? nullptr : &files_.back());
    if (!newer) return fail(newer.error());
    for (LogFile& file : newer->files) files_.push_back(std::move(file));
    if (!options_.docker_exact) {
        for (std::string& name : newer->irregular) {
            if (!irregular_.insert(name).second) continue;
            owed_.push_back({Damage::Kind::irregular, std::move(name)});
        }
    }
    // Without a newer file it was not rotation that took this one.
    if (newer->after_is_gone && !newer->files.empty()) broken_after_ = last;
    return {};
}

Status LogReader::seek_tail() {
    const bool exact = options_.docker_exact;
    Tail tail(*options_.tail, {.whole_lines = !exact,
                               .gaps = exact,
                               .only = options_.tail_of,
                               .until_ns = exact ? std::nullopt : options_.until_ns});
    for (std::size_t i = files_.size(); i-- > 0;) {
        auto later = is_later(files_[i], tail);
        if (!later) return pass_on(std::move(later));
        if (*later) continue;
        if (Status sought = files_[i].seek_tail(tail); !sought) return sought;
        if (!tail.is_done()) continue;
        files_.erase(files_.begin(), files_.begin() + static_cast<std::ptrdiff_t>(i));
        break;
    }
    return {};
}

// Whether reading ends at the file's first entry, so that none of it is in the tail.
Result<bool> LogReader::is_later(LogFile& file, const Tail& tail) const {
    const auto until = tail.count().until_ns;
    // The clock was set back to before it: what comes later may be earlier.
    if (!until || *until > std::numeric_limits<std::int64_t>::max() - time_disorder_ns ||
        (set_back_ns_ != 0 && *until <= set_back_ns_ + time_disorder_ns)) {
        return false;
    }
    const auto first = file.first_time();
    if (!first) return fail(first.error());
    return *first && **first > *until + time_disorder_ns;
}

// Passes over files that end before since_ns, and over the beginning of the first that does not.
Status LogReader::seek_since() {
    // The clock was set back to before since_ns: nothing is in order.
    if (set_back_ns_ != 0 && *options_.since_ns <= set_back_ns_ + time_disorder_ns) return {};
    while (files_.size() > 1) {
        const auto newest = files_.front().newest_time();
        if (!newest) return fail(newest.error());
        if (!*newest || **newest >= *options_.since_ns - time_disorder_ns) break;
        files_.pop_front();
    }
    if (files_.empty()) return {};
    return files_.front().seek_time(*options_.since_ns);
}

LogFile::Ending LogReader::ending() const {
    if (files_.size() > 1 || !live_) return LogFile::Ending::complete;
    if (options_.follow && !stalled_) return LogFile::Ending::growing;
    return LogFile::Ending::uncertain;
}

// Takes up what changed in the directory.
Status LogReader::look_around() {
    const DirectoryWatch::Changes changes = std::exchange(changes_, {});
    if (changes.removed) {
        live_ = following_ = false;
        ends_ = {};
        return {};
    }
    if (changes.info) {
        if (Status loaded = load_info(); !loaded) return loaded;
    }
    if (changes.names) return add_new_files();
    return {};
}

// Whether bytes of the entry's stream are missing before it because their file is gone; sets
// damage_.
bool LogReader::missed_before(const Entry& entry) {
    const auto source = static_cast<std::size_t>(entry.source);
    const StreamProgress& progress = progress_[source];
    std::uint64_t missed = progress.missing_before(entry);
    if (std::exchange(checks_[source], Check::none) == Check::new_file) {
        damage_ = {Damage::Kind::missing, files_.front().name(), 0, missed, entry.source};
        return missed > 0;
    }
    const bool uncertain = entry.run == 0;  // dockerd's entry: no positions
    if (progress.known && entry.run != progress.run) missed = entry.position;
    damage_ = {Damage::Kind::rotated, std::string(layout::log_file), 0, missed};
    return missed > 0 || uncertain;
}

// Goes on with the next file, which must be the one that follows.
void LogReader::pop_file() {
    files_.pop_front();
    if (options_.docker_exact) return;
    for (std::size_t source = 0; source < checks_.size(); ++source) {
        // Damage was told, and what it hides is missing before the next file as well.
        if (checks_[source] == Check::none && !progress_[source].damaged) {
            checks_[source] = Check::new_file;
        }
    }
}

// Finds what the log should have behind what was read of it.
void LogReader::look_at_end() {
    if (std::exchange(end_seen_, true) || options_.docker_exact) return;
    const std::string file(layout::log_file);
    const auto missing = missing_ends(ends_, progress_, from_start_);
    // Of a log that has nothing retention tells even where it is not known what it had.
    const bool nothing = from_start_ && !progress_[0].known && !progress_[1].known;
    if (missing.empty() && !nothing) return;
    if (const auto removal = read_removal(directory_); removal && removal->explains(ends_)) {
        owed_.push_back({.kind = Damage::Kind::expired, .file = file, .limit = removal->limit});
        return;
    }
    for (const MissingEnd& end : missing) {
        owed_.push_back({Damage::Kind::cut, file, 0, end.bytes, end.source, end.at_most});
    }
}

// Tells what is missing, one after the other, before the end.
Result<std::optional<LogReader::Step>> LogReader::finish_at_end() {
    look_at_end();
    return owed_.empty() ? std::optional(finish()) : std::nullopt;
}

LogReader::Step LogReader::finish() {
    done_ = true;
    return Step::end;
}

Status LogReader::resume() {
    options_.follow = true;
    if (!watch_) {
        Result<DirectoryWatch> watch =
            DirectoryWatch::open(directory_, std::string(layout::info_file));
        if (!watch) return fail(watch.error());
        watch_ = std::move(*watch);
    }
    changes_ = {};
    done_ = stalled_ = end_seen_ = false;
    run_.reset();
    if (Status loaded = load_info(); !loaded) return loaded;
    return add_new_files();
}

void LogReader::rest() {
    if (done_) watch_.reset();
}

// What follows when all known files are read; nothing: read on.
Result<std::optional<LogReader::Step>> LogReader::at_end() {
    if (files_.size() > 1) {
        if (broken_after_ == files_.front().identity()) {
            broken_after_.reset();
            checks_.fill(Check::rotated);
        }
        pop_file();
        return std::nullopt;
    }
    if (!watch_) return finish_at_end();
    stalled_ = true;
    if (Status drained = watch_->drain(changes_); !drained) return fail(drained.error());
    if (changes_.any()) {
        if (Status looked = look_around(); !looked) return fail(looked.error());
        return std::nullopt;
    }
    if (!following_) return finish_at_end();
    return Step::idle;
}

Result<LogReader::Step> LogReader::next() {
    if (std::exchange(held_, false)) return Step::entry;
    while (!done_) {
        if (!owed_.empty()) {
            damage_ = std::move(owed_.front());
            owed_.pop_front();
            return Step::damage;
        }
        if (watch_ && ++since_look_ >= look_interval) {
            since_look_ = 0;
            if (Status drained = watch_->drain(changes_); !drained) return fail(drained.error());
            // The rest waits for the end of the files: only names are urgent.
            if (std::exchange(changes_.names, false)) {
                if (Status added = add_new_files(); !added) return fail(added.error());
            }
        }
        if (!files_.empty()) {
            const Result<LogFile::Step> step = files_.front().next(ending());
            if (!step) return fail(step.error());
            if (*step == LogFile::Step::damage) {
                damage_ = files_.front().damage();
                for (StreamProgress& progress : progress_) progress.damaged = true;
                checks_.fill(Check::none);
                if (!options_.docker_exact) return Step::damage;
                if (files_.size() == 1) return finish();
                files_.pop_front();
                continue;
            }
            if (*step == LogFile::Step::entry) {
                stalled_ = false;
                const Entry& entry = files_.front().entry();
                const auto source = static_cast<std::size_t>(entry.source);
                const bool missed = checks_[source] != Check::none && missed_before(entry);
                progress_[source].pass(entry);
                if (options_.until_ns && entry.time_ns > *options_.until_ns) return finish();
                if (options_.since_ns && entry.time_ns < *options_.since_ns && !since_reached_) {
                    continue;
                }
                since_reached_ = options_.since_once;
                held_ = missed;
                return missed ? Step::damage : Step::entry;
            }
        }
        const Result<std::optional<Step>> ended = at_end();
        if (!ended) return fail(ended.error());
        if (*ended) return **ended;
    }
    return Step::end;
}

Result<DirectoryWatch::Wake> LogReader::wait(int stop_fd, int output_fd) const {
    if (!watch_) return DirectoryWatch::Wake::changed;
    return watch_->wait(stop_fd, output_fd);
}

}  // namespace twinlog
