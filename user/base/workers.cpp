#include "base/workers.h"

#include <sys/prctl.h>

#include <algorithm>

namespace twinlog {

Workers::~Workers() {
    {
        const std::lock_guard guard(guard_);
        stop_ = true;
    }
    begun_.notify_all();
    for (std::thread& thread : threads_) thread.join();
}

void Workers::run(std::span<const std::function<void()>> tasks) {
    const std::size_t useful = std::min<std::size_t>(most_, tasks.empty() ? 0 : tasks.size() - 1);
    while (threads_.size() < useful) threads_.emplace_back([this] { work(); });
    std::unique_lock guard(guard_);
    tasks_ = tasks;
    next_ = finished_ = 0;
    for (std::size_t i = 0; i < useful; ++i) begun_.notify_one();
    take(guard);
    done_.wait(guard, [this] { return finished_ == tasks_.size(); });
    tasks_ = {};
    next_ = 0;
}

void Workers::take(std::unique_lock<std::mutex>& guard) {
    while (next_ < tasks_.size()) {
        const auto& task = tasks_[next_++];
        guard.unlock();
        task();
        guard.lock();
        if (++finished_ == tasks_.size()) done_.notify_one();
    }
}

void Workers::work() {
    ::prctl(PR_SET_NAME, "twinlog-format");
    std::unique_lock guard(guard_);
    while (!stop_) {
        take(guard);
        begun_.wait(guard, [this] { return stop_ || next_ < tasks_.size(); });
    }
}

}  // namespace twinlog
