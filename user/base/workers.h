// Threads that share work with the one that has it.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

namespace twinlog {

// run() is for one thread at a time. Threads are made when there is work for them for the first
// time: what they may do is what their maker may do then.
class Workers {
 public:
    // threads: beside the one that calls run(); 0: that one does all.
    explicit Workers(unsigned threads) : most_(threads) {}
    ~Workers();
    Workers(const Workers&) = delete;
    Workers& operator=(const Workers&) = delete;

    // Does all tasks, in no order, the caller's thread among those that do, and returns when the
    // last is done. Tasks do not throw.
    void run(std::span<const std::function<void()>> tasks);

 private:
    void work();
    // Does tasks until none is left to begin. guard: of guard_, held.
    void take(std::unique_lock<std::mutex>& guard);

    const unsigned most_;
    std::vector<std::thread> threads_;
    std::mutex guard_;  // of what follows
    std::condition_variable begun_;
    std::condition_variable done_;
    std::span<const std::function<void()>> tasks_;
    std::size_t next_ = 0;      // of tasks_, to begin
    std::size_t finished_ = 0;  // of tasks_
    bool stop_ = false;
};

}  // namespace twinlog
