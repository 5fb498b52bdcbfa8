// The output ring and the spill behind it as one row of records. While the host keeps up they are
// read where they lie in the ring. When the ring fills faster than it is read, all that comes is
// moved to the spill, run by run, and read from there until nothing is left.
//
// Two threads: the recorder's, which reads, and the mover's, which looks at the ring from the first
// record on until the recorder has nothing to do, and moves what must not wait for it. lock() is
// between them.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "base/priority.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "capture/ring.h"
#include "capture/spill.h"
#include "record.h"

namespace twinlog {

class Backlog {
 public:
    // ring_fd: of the ring's map, not kept. states: of the streams, by slot.
    static Result<std::unique_ptr<Backlog>> open(Ring ring, int ring_fd, std::uint64_t ring_size,
                                                 std::span<tw_state> states, Spill spill);
    ~Backlog();
    Backlog(const Backlog&) = delete;
    Backlog& operator=(const Backlog&) = delete;

    // All that follows is called with it held, but for set_reader_busy().
    [[nodiscard]] std::unique_lock<PriorityMutex> lock() { return std::unique_lock(mutex_); }

    [[nodiscard]] Ring& ring() { return ring_; }
    [[nodiscard]] const Ring& ring() const { return ring_; }
    [[nodiscard]] Spill& spill() { return spill_; }

    // Whether records come out of the spill now. Moves what is in the ring if so.
    bool spills();
    // The frames of the ring's next records before `end` that no queue has, some at_least bytes of
    // them. A copy, valid until the next one: who takes it apart may be slow, and the mover must be
    // able to give the ring's room back meanwhile.
    std::span<const std::byte> copy(std::uint64_t end, std::size_t at_least);
    // Gives the room of all that was copied back to the kernel and to the streams.
    void commit();
    // Bytes of the ring that were copied and not given back.
    [[nodiscard]] std::uint64_t uncommitted() { return ring_.cursor() - ring_.committed(); }
    // Records wait, in the spill or so many in the ring that waiting for more makes no sense.
    [[nodiscard]] bool waits() const;

    // The recorder begins or ends to be at work: the mover sleeps meanwhile.
    void set_reader_busy(bool busy);
    // What the mover failed at, once.
    [[nodiscard]] std::optional<Error> take_error();

 private:
    struct Taken {
        std::uint32_t slot;
        std::uint64_t stream;
        std::uint64_t room;
    };

    Backlog(Ring ring, std::uint64_t ring_size, std::span<tw_state> states, Spill spill);
    Status start_mover(int ring_fd);
    void run_mover();
    void wake_mover();
    [[nodiscard]] std::uint64_t unread() const { return ring_.produced() - ring_.cursor(); }
    const tw_data* look(std::span<const std::byte> payload, std::uint64_t& run);
    void take(const tw_data& head, std::size_t size);
    void give_back();
    void begin();
    bool move(std::uint64_t end);
    void fail_with(Error error);

    Ring ring_;
    std::uint64_t ring_size_;
    std::span<tw_state> states_;
    Spill spill_;
    std::vector<Taken> taken_;  // of the ring's records since commit()
    std::vector<std::byte> copied_;
    bool spills_ = false;
    bool refused_ = false;  // the disk had no room: moves on when the queues are empty
    std::optional<Error> error_;
    int reported_code_ = 0;

    PriorityMutex mutex_;
    UniqueFd wake_;   // eventfd
    UniqueFd epoll_;  // of it and of the ring
    std::atomic<bool> reader_busy_ = false;
    std::atomic<bool> stop_ = false;
    std::thread mover_;
};

}  // namespace twinlog
