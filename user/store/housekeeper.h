// What a daemon does beside capturing: compresses rotated files and keeps the store within its
// limits, in one thread of the lowest priority for CPU and disk.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

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
    // A log that is written to: its files are removed only in agreement with its writer.
    void know(const std::shared_ptr<Rotation>& rotation);
    // Who keeps the names of that log's files: the thread may still be at work for a writer that is
    // gone, and two would rename the same files. None if nobody does.
    std::shared_ptr<Rotation> known(const std::string& path);
    // Has the log's rotated files compressed, soon.
    void compress(const std::shared_ptr<Rotation>& rotation);

 private:
    void work();
    ActiveLogs active();

    Retention retention_;
    RemovedCheck removed_;
    std::mutex guard_;  // of what follows
    std::condition_variable wake_;
    std::deque<std::weak_ptr<Rotation>> queue_;
    std::map<std::string, std::weak_ptr<Rotation>> active_;  // by path of the live file
    std::atomic<bool> stop_ = false;
    std::thread thread_;
};

}  // namespace twinlog
