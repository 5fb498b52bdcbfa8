#include "capture/backlog.h"

#include <linux/bpf.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "base/priority.h"
#include "capture/privileges.h"

namespace twinlog {

namespace {

// The ring may be so full before records are moved: a flood that is alone may fill half of it, so
// there is as much room left for what comes while the mover wakes up.
constexpr std::uint64_t moved_from = 4;  // part of the ring
// Moved at once: the lock is held for a millisecond at most.
constexpr std::uint64_t move_batch = 1ULL << 20;
// How often the mover looks while the recorder is at work. A flood of 2 GB/s writes 4 MB meanwhile.
constexpr std::chrono::milliseconds mover_tick{2};

}  // namespace

Backlog::Backlog(Ring ring, std::uint64_t ring_size, std::span<tw_state> states, Spill spill)
    : ring_(std::move(ring)),
      ring_size_(ring_size),
      states_(states),
      spill_(std::move(spill)),
      spills_(spill_.waits()) {}

Result<std::unique_ptr<Backlog>> Backlog::open(Ring ring, int ring_fd, std::uint64_t ring_size,
                                               std::span<tw_state> states, Spill spill) {
    std::unique_ptr<Backlog> backlog(
        new Backlog(std::move(ring), ring_size, states, std::move(spill)));
    if (backlog->spill_.usable()) {
        if (auto started = backlog->start_mover(ring_fd); !started) {
            return pass_on(std::move(started));
        }
    }
    return backlog;
}

Backlog::~Backlog() {
    if (!mover_.joinable()) return;
    stop_ = true;
    wake_mover();
    mover_.join();
}

Status Backlog::start_mover(int ring_fd) {
    wake_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    epoll_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
    for (const int fd : {wake_.get(), ring_fd}) {
        epoll_event interest{.events = EPOLLIN, .data = {.fd = fd}};
        if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &interest) != 0) {
            return fail_errno("BPF ring", "waiting for it");
        }
    }
    mover_ = std::thread([this] { run_mover(); });
    return {};
}

void Backlog::run_mover() {
    ::prctl(PR_SET_NAME, "twinlog-spill");
    // Else a flood would displace it, and be lost for that.
    if (auto first = run_before_others(); !first) {
        spdlog::warn("a burst may overtake the spill on a busy host: {}", first.error().message());
    }
    if (auto dropped = drop_all_privileges(); !dropped) {
        spdlog::error("{}", dropped.error().message());
    }
    pollfd woken{.fd = wake_.get(), .events = POLLIN, .revents = 0};
    while (!stop_) {
        bool idle = false;
        bool more = false;
        {
            const auto held = lock();
            spills();
            // Where it has moved the first record, nobody is woken by those that follow until the
            // recorder has run.
            idle = !reader_busy_ && unread() == 0 && !spills_;
            more = spills_ && !refused_ && unread() >= move_batch;
        }
        if (more) continue;
        if (idle) {
            // The first record wakes the recorder, too, but at its priority that may take long.
            epoll_event ready{};
            ::epoll_wait(epoll_.get(), &ready, 1, -1);
        } else {
            ::poll(&woken, 1, static_cast<int>(mover_tick.count()));
        }
        std::uint64_t count = 0;
        [[maybe_unused]] const ssize_t got = ::read(wake_.get(), &count, sizeof(count));
    }
}

void Backlog::wake_mover() {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t put = ::write(wake_.get(), &one, sizeof(one));
}

void Backlog::set_reader_busy(bool busy) {
    if (!mover_.joinable() || reader_busy_.exchange(busy) == busy) return;
    if (busy) wake_mover();
}

bool Backlog::waits() const {
    return spill_.waits() || ring_.produced() - ring_.cursor() >= ring_size_ / moved_from;
}

bool Backlog::spills() {
    if (!spill_.usable() && !spills_) return false;
    if (!spills_) {
        if (unread() < ring_size_ / moved_from || refused_) {
            refused_ = false;
            return false;
        }
        begin();
    }
    if (!refused_) move(std::min(ring_.produced(), ring_.cursor() + move_batch));
    // The recorder has caught up.
    if (!spill_.waits() && (refused_ || unread() < ring_size_ / moved_from)) spills_ = false;
    return spills_;
}

// What the recorder has in hand is kept in the spill as well, so that its room can be given back
// before the recorder has it in its files.
void Backlog::begin() {
    const std::uint64_t cursor = ring_.cursor();
    spills_ = true;
    if (ring_.committed() == cursor) return;
    taken_.clear();
    ring_.rewind();
    while (ring_.cursor() < cursor && move(std::min(cursor, ring_.cursor() + move_batch))) {
    }
    spill_.mark_read();
    // The disk refused the rest: it stays in the ring until the recorder is done with it.
    while (ring_.cursor() < cursor) {
        const auto payload = ring_.next(cursor);
        std::uint64_t run = 0;
        if (const tw_data* head = look(payload, run)) take(*head, payload.size());
    }
}

const tw_data* Backlog::look(std::span<const std::byte> payload, std::uint64_t& run) {
    if (payload.size() < sizeof(tw_data)) return nullptr;
    const auto& head = *reinterpret_cast<const tw_data*>(payload.data());
    if (head.slot >= states_.size() || head.captured > payload.size() - sizeof(tw_data)) {
        return nullptr;
    }
    const tw_state& state = states_[head.slot];
    if (state.id != head.stream) return nullptr;  // given up meanwhile
    run = state.run;
    return &head;
}

void Backlog::take(const tw_data& head, std::size_t size) {
    const std::uint64_t room = TW_RING_ROOM(size);
    if (!taken_.empty() && taken_.back().stream == head.stream) {
        taken_.back().room += room;
        return;
    }
    taken_.push_back({head.slot, head.stream, room});
}

void Backlog::give_back() {
    for (const Taken& taken : taken_) {
        tw_state& state = states_[taken.slot];
        if (state.id != taken.stream) continue;
        std::atomic_ref(state.consumed)
            .store(state.consumed + taken.room, std::memory_order_relaxed);
    }
    taken_.clear();
    ring_.commit();
    spill_.forget_known(ring_.cursor());
}

// False: the disk has no room for all of it.
bool Backlog::move(std::uint64_t end) {
    std::uint64_t done = ring_.cursor();
    bool full = false;
    while (!full && ring_.cursor() < end) {
        const auto payload = ring_.next(end);
        std::uint64_t run = 0;
        if (const tw_data* head = look(payload, run)) {
            if (!spill_.knows(run, ring_.cursor())) {
                const std::span frame(payload.data() - BPF_RINGBUF_HDR_SZ,
                                      TW_RING_ROOM(payload.size()));
                if (spill_.append(run, frame) == Spill::Appended::failed) {
                    full = true;
                    break;
                }
            }
            take(*head, payload.size());
        }
        done = ring_.cursor();
    }
    auto flushed = spill_.flush(done);
    if (!flushed) {
        // The same records again, less those that made it.
        taken_.clear();
        ring_.rewind();
        fail_with(std::move(flushed).error());
        return false;
    }
    ring_.seek(done);
    give_back();
    if (!full) {
        reported_code_ = 0;
        return true;
    }
    if (auto error = spill_.take_error()) fail_with(std::move(*error));
    refused_ = true;
    return false;
}

void Backlog::fail_with(Error error) {
    refused_ = true;
    if (error.code == reported_code_) return;
    reported_code_ = error.code;
    error_ = std::move(error);
}

std::optional<Error> Backlog::take_error() {
    if (error_) return std::exchange(error_, std::nullopt);
    return spill_.take_error();
}

std::span<const std::byte> Backlog::copy(std::uint64_t end, std::size_t at_least) {
    std::size_t size = 0;
    // Frames that follow one another are copied at once.
    std::span<const std::byte> row;
    const auto put = [&] {
        if (row.empty()) return;
        if (copied_.size() < size + row.size()) copied_.resize(size + row.size());
        std::memcpy(copied_.data() + size, row.data(), row.size());
        size += row.size();
    };
    while (ring_.cursor() < end && size + row.size() < at_least) {
        const auto payload = ring_.next(end);
        std::uint64_t run = 0;
        const tw_data* head = look(payload, run);
        if (head == nullptr) continue;
        take(*head, payload.size());
        if (spill_.knows(run, ring_.cursor())) continue;
        const std::span frame(payload.data() - BPF_RINGBUF_HDR_SZ, TW_RING_ROOM(payload.size()));
        if (row.data() + row.size() == frame.data()) {
            row = {row.data(), row.size() + frame.size()};
            continue;
        }
        put();
        row = frame;
    }
    put();
    return std::span<const std::byte>(copied_).first(size);
}

void Backlog::commit() {
    if (uncommitted() > 0) give_back();
}

}  // namespace twinlog
