// What a daemon does beside capturing: compresses rotated files and keeps the store within its
// limits, in one thread of the lowest priority for CPU and disk.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "store/active_logs.h"
#include "store/retention.h"
#include "store/rotation.h"

namespace twinlog {

class Housekeeper {
 public:
    // removed: see Retention; only called by the thread. Nothing runs until start().
    Housekeeper(Retention retention, RemovedCheck removed)
        : retention_(std::move(retention)), removed_(std::move(removed)) {}
    Housekeeper(const Housekeeper&) = delete;
    Housekeeper& operator=(const Housekeeper&) = delete;
    Housekeeper(Housekeeper&&) = delete;
    Housekeeper& operator=(Housekeeper&&) = delete;
    // Gives up what it does and waits for that.
    ~Housekeeper();

    // Makes the thread, if it is not there. It inherits the caller's blocked signals.
    void start();
    // Ends the thread for good; gives up what it does and waits for that.
    void stop();
    // As ActiveLogs has it.
    std::shared_ptr<Rotation> rotation_of(FileSystem& files, const std::string& path, int max_file,
                                          const LogFormat& format) {
        return active_.rotation_of(files, path, max_file, format);
    }
    // Has the log's rotated files compressed, soon, whether or not its writer is still there.
    void compress(const std::shared_ptr<Rotation>& rotation);
    // A log's live file of so many bytes was rotated. Keeps the size of all within its limit, at
    // once: the thread may get no time while containers flood. Called by the threads that write.
    void rotated(std::uint64_t bytes);

 private:
    void work();

    Retention retention_;
    RemovedCheck removed_;
    ActiveLogs active_;
    std::mutex guard_;  // of what follows
    std::condition_variable wake_;
    std::deque<std::shared_ptr<Rotation>> queue_;
    std::atomic<bool> stop_ = false;
    std::mutex total_guard_;
    // Of all logs at most, live files as they were at the last look; none: not looked at yet.
    std::optional<std::uint64_t> total_;
    std::thread thread_;
};

}  // namespace twinlog
