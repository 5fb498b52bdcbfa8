// Slows containers that write faster than their logs can be written, so that the ring never has to
// refuse a byte of theirs: one whose unconsumed bytes near what it may hold is frozen until they
// have been taken.
//
// The kernel offers no way to hold up a writer from where its bytes are seen, so this is a race
// that is won by a margin: a thread of real-time priority looks so often that most_per_second puts
// no more than a quarter of the ring into it between two looks, and a container is frozen when it
// holds an eighth of what it may. Its processes stop on their way out of the kernel, which they are
// made to take at once. What is in a pipe then still comes, and is small against what is left.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "capture/capture.h"
#include "container/freezer.h"
#include "daemon/frozen.h"
#include "record.h"
#include "store/container_info.h"

namespace twinlog {

// May be called from one thread besides its own.
class Throttle {
 public:
    // A smaller one would have to be looked at too often.
    static constexpr std::uint64_t smallest_ring = 16ULL << 20;

    // Keeps a reference to the fill.
    static Result<std::unique_ptr<Throttle>> start(const std::string& store, const RingFill& fill);
    Throttle(const Throttle&) = delete;
    Throttle& operator=(const Throttle&) = delete;
    Throttle(Throttle&&) = delete;
    Throttle& operator=(Throttle&&) = delete;
    // Thaws all.
    ~Throttle();

    // Watches the run's streams. The error says why the container cannot be frozen: then it is not
    // slowed, and what is too much for the ring becomes gaps.
    Status watch(const tw_start& start, const ContainerInfo& info);
    // The run is over; thaws it.
    void forget(const tw_start& start);

 private:
    struct Watched {
        std::string title;
        std::vector<tw_file> files;
        Freezer freezer;
        bool frozen = false;
        bool told = false;
        std::uint64_t times = 0;
    };

    Throttle(const RingFill& fill, FrozenList frozen);
    void work();
    void look();
    [[nodiscard]] std::uint64_t held_by(const Watched& watched) const;
    void freeze(Watched& watched);
    void thaw(Watched& watched);

    const RingFill& fill_;
    std::mutex guard_;  // of what follows
    FrozenList frozen_;
    std::map<std::uint64_t, Watched> watched_;  // by tw_start::run
    std::chrono::nanoseconds tick_;             // between two looks
    std::atomic<bool> stop_ = false;
    std::thread thread_;
};

}  // namespace twinlog
