// One container's logs in all formats.
#include "store/log_writer.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/escape.h"
#include "format/attributes.h"
#include "format/docker_local.h"
#include "store/layout.h"
#include "store/log_limits.h"
#include "store/pod_path.h"

namespace twinlog {

namespace {

constexpr mode_t pods_mode = 0755;  // as the kubelet's; the files themselves are not for all
// So much of the cached log is compared with its copies: more than it may be ahead of them when the
// daemon is killed.
constexpr std::size_t compared_tail = 2 * LogWriter::batch_limit;
// From so many bytes on workers are asked.
constexpr std::size_t shared_batch = std::size_t{32} << 10U;

std::string attributes_of(const LogWriter::Options& options, const LogOwner& owner) {
    std::map<std::string, std::string> attributes = owner.attributes;
    for (const std::string& key : options.labels) {
        const auto label = owner.labels.find(key);
        if (label != owner.labels.end()) attributes.insert(*label);
    }
    return pack_attributes(attributes);
}

// Makes the directories of a file below root, root included.
Status make_parents(const std::string& root, const std::string& path) {
    for (std::size_t end = 0; end != std::string::npos; end = path.find('/', end + 1)) {
        const std::string directory = end == 0 ? root : root + "/" + path.substr(0, end);
        if (auto made = make_directory(directory, pods_mode); !made) return made;
    }
    return {};
}

}  // namespace

Result<std::unique_ptr<LogWriter>> LogWriter::open(FileSystem& files, const std::string& directory,
                                                   const Options& options, const LogOwner& owner) {
    std::unique_ptr<LogWriter> writer(new LogWriter());
    const LogLimits limits =
        limits_of(owner, {.max_size = options.max_size, .max_file = options.max_file},
                  options.max_by_label, writer->notes_);
    Options mine = options;
    mine.max_size = limits.max_size;
    mine.max_file = limits.max_file;
    writer->attributes_ = attributes_of(options, owner);
    writer->workers_ = options.workers;
    auto cached = LogFileWriter::open(files, {.path = directory + "/" + layout::log_name(0),
                                              .max_size = mine.max_size,
                                              .max_file = mine.max_file,
                                              .format = docker_local::format(),
                                              .housekeeper = mine.housekeeper,
                                              .compress = mine.compress});
    if (!cached) return pass_on(std::move(cached));
    writer->cached_ = std::move(*cached);
    if (std::string found = writer->recovery().describe(); !found.empty()) {
        writer->notes_.push_back(std::move(found));
    }
    writer->open_copies(files, directory, mine, owner);
    return writer;
}

void LogWriter::open_copies(FileSystem& files, const std::string& directory, const Options& options,
                            const LogOwner& owner) {
    for (const LogFormat* format : options.copies) {
        for (const LogPlace& place : format->places(owner)) {
            auto copy = open_copy(files, directory, options, *format, place, owner);
            // The container is captured all the same.
            if (copy) {
                copies_.push_back(std::move(*copy));
            } else {
                notes_.push_back("no log in format " + std::string(format->name()) + ": " +
                                 copy.error().message());
            }
        }
    }
}

Result<std::unique_ptr<LogFileWriter>> LogWriter::open_copy(
    FileSystem& files, const std::string& directory, const Options& options,
    const LogFormat& format, const LogPlace& place, const LogOwner& owner) {
    std::string path = place.path;
    if (place.in_pods) {
        if (auto made = make_parents(options.pods, path); !made) return pass_on(std::move(made));
        path = claim_pod_path(options.pods, place, owner.id);
    }
    if (path != place.path) {
        notes_.push_back("its log in format " + std::string(format.name()) + " is " + path +
                         ": its labels name the place of another container's, " + place.path);
        if (auto made = make_parents(options.pods, path); !made) return pass_on(std::move(made));
    }
    const std::string& root = place.in_pods ? options.pods : directory;
    auto copy = LogFileWriter::open(files, {.path = root + "/" + path,
                                            .max_size = options.max_size,
                                            .max_file = options.max_file,
                                            .format = format,
                                            .only = place.only,
                                            .housekeeper = options.housekeeper,
                                            .compress = options.compress});
    if (!copy) return copy;
    const auto encoder = format.encoder();
    auto text = cached_->tail_as(*encoder, place.only, compared_tail);
    if (!text) return pass_on(std::move(text));
    const auto caught = (*copy)->catch_up(*text);
    if (!caught) return fail(caught.error());
    if (!*caught) {
        notes_.push_back("the log in format " + std::string(format.name()) +
                         " lacks what was captured while it was not written");
    }
    return copy;
}

void LogWriter::append(const Entry& entry) {
    if (attributes_.empty() || entry.gap) {
        take(entry);
        return;
    }
    Entry described = entry;
    described.attributes = attributes_;
    take(described);
}

void LogWriter::take(const Entry& entry) {
    if (copies_.empty()) {
        cached_->append(entry);
        return;
    }
    const std::size_t begin = batch_.size();
    docker_local::append(entry, batch_);
    cached_->append(entry, std::string_view(batch_).substr(begin));
    if (batch_.size() <= batch_limit) return;
    cached_->write();
    feed_copies([](std::size_t) {});
}

// Not more than reading: it runs on several threads at a time.
void LogWriter::feed(LogFileWriter& copy) const {
    std::string_view rest = batch_;
    while (!rest.empty()) {
        Frame frame = docker_local::decode(rest);
        // The cached log's format has no place for them.
        if (!frame.entry.gap) frame.entry.attributes = attributes_;
        copy.append(frame.entry);
        rest.remove_prefix(frame.size);
    }
}

std::uint64_t LogWriter::retained_bytes() const {
    const LogFileWriter::Options& options = cached_->options();
    if (options.max_size <= 0) return 0;
    // An entry takes up at least as much as the bytes that it is of, and a file may be so much
    // larger than its limit: a piece of a line of which each byte is escaped by six.
    constexpr std::uint64_t longest_entry = 128 * 1024;
    return static_cast<std::uint64_t>(options.max_file) *
           (static_cast<std::uint64_t>(options.max_size) + longest_entry);
}

bool LogWriter::has_pending() const {
    return !batch_.empty() || cached_->has_pending() ||
           std::any_of(copies_.begin(), copies_.end(),
                       [](const auto& copy) { return copy->has_pending(); });
}

// Gives all copies the batch, and then does what else is to be done with each, by its number. After
// the cached log was written: to the next daemon, a copy that is ahead of it is another log's.
void LogWriter::feed_copies(const std::function<void(std::size_t)>& then) {
    std::vector<std::function<void()>> tasks;
    for (std::size_t i = 0; i < copies_.size(); ++i) {
        tasks.emplace_back([this, &then, i] {
            feed(*copies_[i]);
            then(i);
        });
    }
    // Less is done before anybody else has woken up.
    if (workers_ && batch_.size() >= shared_batch) {
        workers_->run(tasks);
    } else {
        for (const auto& task : tasks) task();
    }
    batch_.clear();
}

Status LogWriter::flush() {
    Status result = cached_->flush();
    std::vector<Status> flushed(copies_.size());
    feed_copies([&](std::size_t i) { flushed[i] = copies_[i]->flush(); });
    for (Status& copy : flushed) {
        if (result && !copy) result = std::move(copy);
    }
    return result;
}

}  // namespace twinlog
