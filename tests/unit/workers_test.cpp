// Work that threads share.
#include "base/workers.h"

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

using namespace twinlog;

TEST_CASE("workers: each task is done once, and all when run() returns", "[workers]") {
    const unsigned threads = GENERATE(0U, 1U, 3U);
    Workers workers(threads);
    for (std::size_t count = 0; count < 20; ++count) {
        std::vector<std::atomic<int>> done(count);
        std::vector<std::function<void()>> tasks;
        for (auto& times : done) tasks.emplace_back([&times] { ++times; });
        workers.run(tasks);
        for (const auto& times : done) CHECK(times == 1);
    }
}

TEST_CASE("workers: tasks are at work at the same time", "[workers]") {
    Workers workers(2);
    std::mutex guard;
    std::condition_variable changed;
    std::set<std::thread::id> there;
    // Each waits for the others: one thread alone would never get through.
    const std::function<void()> meet = [&] {
        std::unique_lock lock(guard);
        there.insert(std::this_thread::get_id());
        changed.notify_all();
        changed.wait(lock, [&] { return there.size() == 3; });
    };
    workers.run(std::array{meet, meet, meet});
    CHECK(there.contains(std::this_thread::get_id()));
}

TEST_CASE("workers: without threads the caller does all, in order", "[workers]") {
    Workers workers(0);
    std::vector<int> order;
    workers.run(std::array<std::function<void()>, 2>{[&] { order.push_back(1); },
                                                     [&] { order.push_back(2); }});
    CHECK(order == std::vector{1, 2});
}
