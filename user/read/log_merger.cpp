#include "read/log_merger.h"

#include <poll.h>

#include <cerrno>

namespace twinlog {

namespace {

// While some logs have plenty, how many lines pass between two looks at the idle ones.
constexpr std::uint32_t look_interval = 1024;

}  // namespace

std::size_t LogMerger::add(std::unique_ptr<LineSource> source) {
    std::size_t number = sources_.size();
    if (free_.empty()) {
        sources_.push_back(std::move(source));
    } else {
        number = free_.back();
        free_.pop_back();
        sources_[number] = std::move(source);
    }
    asked_.push_back(number);
    return number;
}

Status LogMerger::resume(std::size_t source) {
    if (Status resumed = sources_[source]->resume(); !resumed) return resumed;
    asked_.push_back(source);
    return {};
}

LogMerger::Step LogMerger::next() {
    if (std::exchange(given_, false)) {
        asked_.push_back(source_);
        if (++since_look_ >= look_interval) {
            since_look_ = 0;
            asked_.insert(asked_.end(), idle_.begin(), idle_.end());
            idle_.clear();
        }
    }
    while (!asked_.empty()) {
        source_ = asked_.back();
        const auto step = sources_[source_]->next();
        // A damage has no time: it is told before the line that follows it.
        if (step && *step == LineSource::Step::damage) return Step::damage;
        asked_.pop_back();
        if (!step) {
            error_ = step.error();
            return Step::failure;
        }
        if (*step == LineSource::Step::entry) {
            heads_.emplace(sources_[source_]->line().entry.time_ns, source_);
        } else if (*step == LineSource::Step::idle) {
            idle_.push_back(source_);
        } else {
            sources_[source_]->rest();
            return Step::ended;
        }
    }
    if (heads_.empty()) return idle_.empty() ? Step::end : Step::idle;
    source_ = heads_.top().second;
    heads_.pop();
    given_ = true;
    return Step::line;
}

Result<LogMerger::Wake> LogMerger::wait(int watched_fd, int output_fd, int watched_too_fd) {
    // poll() passes over negative descriptors, and tells of errors whatever is asked for.
    std::vector<pollfd> fds = {
        {watched_fd, POLLIN, 0}, {output_fd, 0, 0}, {watched_too_fd, POLLIN, 0}};
    const std::size_t others = fds.size();
    for (const std::size_t source : idle_) fds.push_back({sources_[source]->watch_fd(), POLLIN, 0});
    while (::poll(fds.data(), fds.size(), -1) < 0) {
        if (errno != EINTR) return fail_errno("logs", "cannot follow");
    }
    if (fds[1].revents != 0) return Wake::stop;
    std::vector<std::size_t> still_idle;
    for (std::size_t i = 0; i < idle_.size(); ++i) {
        (fds[i + others].revents != 0 ? asked_ : still_idle).push_back(idle_[i]);
    }
    idle_ = std::move(still_idle);
    return fds[0].revents != 0 || fds[2].revents != 0 ? Wake::watched : Wake::changed;
}

}  // namespace twinlog
