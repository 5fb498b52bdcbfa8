// The ring and the spill as one, over a ring that is a file: whose room is given back, and what
// goes through the spill comes out once.
#include "capture/backlog.h"

#include <linux/bpf.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "temp_directory.h"

using namespace twinlog;

namespace {

constexpr std::uint64_t instance = 7;
constexpr std::size_t ring_size = std::size_t{1} << 20U;

// What the kernel has: a ring, filled once from its beginning, and the states of four streams, one
// a run.
class Kernel {
 public:
    Kernel() : states(4) {
        fd_.reset(::memfd_create("ring", MFD_CLOEXEC));
        REQUIRE(::ftruncate(fd_.get(), static_cast<off_t>(2 * page + 2 * ring_size)) == 0);
        auto memory = Mapping::map(fd_.get(), 2 * page + 2 * ring_size, PROT_READ | PROT_WRITE, 0);
        REQUIRE(memory);
        memory_ = std::make_unique<Mapping>(std::move(*memory));
        for (std::uint32_t slot = 0; slot < states.size(); ++slot) {
            states[slot].id = 1000 + slot;
            states[slot].run = slot + 1;
        }
    }

    // A record of so many bytes, as the programs would put it there.
    void put(std::uint32_t slot, std::uint32_t size) {
        tw_data head{};
        head.type = TW_READ;
        head.slot = slot;
        head.stream = states[slot].id;
        head.position = states[slot].read;
        head.length = head.captured = size;
        const auto length = static_cast<std::uint32_t>(sizeof(head) + size);
        std::byte* const frame = memory_->data() + 2 * page + produced();
        std::memcpy(frame, &length, sizeof(length));
        std::memcpy(frame + BPF_RINGBUF_HDR_SZ, &head, sizeof(head));
        states[slot].read += size;
        states[slot].reserved += TW_RING_ROOM(length);
        set(page, produced() + TW_RING_ROOM(length));
    }
    // Of the record at that place.
    tw_data& head(std::uint64_t at) {
        return *reinterpret_cast<tw_data*>(memory_->data() + 2 * page + at + BPF_RINGBUF_HDR_SZ);
    }
    [[nodiscard]] std::uint64_t held_by(std::uint32_t slot) const {
        return states[slot].reserved - states[slot].consumed;
    }
    [[nodiscard]] std::uint64_t produced() const { return get(page); }
    [[nodiscard]] std::uint64_t committed() const { return get(0); }
    [[nodiscard]] Ring ring() const {
        auto ring = Ring::open(fd_.get(), ring_size);
        REQUIRE(ring);
        return std::move(*ring);
    }

    std::vector<tw_state> states;

 private:
    static constexpr std::size_t page = 4096;

    [[nodiscard]] std::uint64_t get(std::size_t at) const {
        std::uint64_t value = 0;
        std::memcpy(&value, memory_->data() + at, sizeof(value));
        return value;
    }
    void set(std::size_t at, std::uint64_t value) {
        std::memcpy(memory_->data() + at, &value, sizeof(value));
    }

    UniqueFd fd_;
    std::unique_ptr<Mapping> memory_;
};

// A daemon's backlog. With room for a spill it has a mover, which may be at work as well: what
// comes out is the same.
class Daemon {
 public:
    Daemon(Kernel& kernel, const std::string& spill, std::uint64_t limit)
        : wake_(::eventfd(0, EFD_CLOEXEC)) {
        auto opened = Spill::open({}, {spill, limit}, instance);
        REQUIRE(opened);
        auto made =
            Backlog::open(kernel.ring(), wake_.get(), ring_size, kernel.states, std::move(*opened));
        REQUIRE(made);
        backlog_ = std::move(*made);
    }

    Backlog* operator->() const { return backlog_.get(); }
    // Bytes of the records that are handed out, by stream; those of a stream must follow one
    // another.
    void take(std::span<const std::byte> frames) {
        while (const auto frame = first_frame(frames)) {
            frames = frames.subspan(frame->size);
            tw_data head{};
            std::memcpy(&head, frame->payload.data(), sizeof(head));
            if (head.position != seen[head.stream]) in_order = false;
            seen[head.stream] = head.position + head.length;
        }
        CHECK(frames.empty());
    }
    void take_ring(const Kernel& kernel) {
        const auto lock = backlog_->lock();
        take(backlog_->copy(kernel.produced(), ring_size));
    }
    // As the recorder does when there is a spill; false: records come from the ring.
    bool take_spill() {
        const auto lock = backlog_->lock();
        if (!backlog_->spills()) return false;
        while (backlog_->spill().waits()) {
            const auto slice = backlog_->spill().next();
            REQUIRE(slice);
            REQUIRE(*slice);
            take((*slice)->frames);
            backlog_->spill().commit((*slice)->run);
        }
        return true;
    }
    void commit() {
        const auto lock = backlog_->lock();
        backlog_->commit();
    }
    // What the kernel says of the ring: somebody should look.
    void ring_is_readable(bool readable) {
        std::uint64_t count = 1;
        const bool done = readable ? ::write(wake_.get(), &count, sizeof(count)) > 0
                                   : ::read(wake_.get(), &count, sizeof(count)) > 0;
        CHECK(done);
    }
    // The mover has given all room back; false after far more time than it needs.
    bool mover_moves_all(const Kernel& kernel) {
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
        while (std::chrono::steady_clock::now() < deadline) {
            {
                const auto lock = backlog_->lock();
                if (kernel.committed() == kernel.produced()) return true;
            }
            std::this_thread::yield();
        }
        return false;
    }

    std::map<std::uint64_t, std::uint64_t> seen;  // by stream
    bool in_order = true;

 private:
    UniqueFd wake_;
    std::unique_ptr<Backlog> backlog_;
};

}  // namespace

TEST_CASE("backlog: each stream gets its own room back, when it is committed") {
    Kernel kernel;
    Daemon daemon(kernel, "", 0);
    kernel.put(0, 1000);
    kernel.put(1, 20);
    kernel.put(0, 500);
    daemon.take_ring(kernel);
    CHECK(daemon.seen[1000] == 1500);
    CHECK(daemon.seen[1001] == 20);
    CHECK(kernel.held_by(0) ==
          TW_RING_ROOM(sizeof(tw_data) + 1000) + TW_RING_ROOM(sizeof(tw_data) + 500));
    CHECK(kernel.committed() == 0);
    daemon.commit();
    CHECK(kernel.held_by(0) == 0);
    CHECK(kernel.held_by(1) == 0);
    CHECK(kernel.committed() == kernel.produced());
}

TEST_CASE("backlog: a stream that was given up is nobody's, and its slot's next one pays nothing") {
    Kernel kernel;
    Daemon daemon(kernel, "", 0);
    SECTION("before it is read") {
        kernel.put(2, 100);
        kernel.states[2] = tw_state{.id = 5000};
        daemon.take_ring(kernel);
        CHECK(daemon.seen.empty());
    }
    SECTION("before it is committed") {
        kernel.put(2, 100);
        daemon.take_ring(kernel);
        kernel.states[2] = tw_state{.id = 5000};
    }
    daemon.commit();
    CHECK(kernel.states[2].consumed == 0);
    CHECK(kernel.committed() == kernel.produced());
}

TEST_CASE("backlog: a record that lies about itself is passed over") {
    Kernel kernel;
    Daemon daemon(kernel, "", 0);
    kernel.put(0, 100);
    SECTION("of a slot that there is not") {
        kernel.head(0).slot = 4;
    }
    SECTION("of more bytes than it has") {
        kernel.head(0).captured = 101;
    }
    daemon.take_ring(kernel);
    CHECK(daemon.seen.empty());
    daemon.commit();
    CHECK(kernel.committed() == kernel.produced());
}

TEST_CASE("backlog: what fills the ring goes through the spill, once and in order") {
    const TempDirectory directory;
    Kernel kernel;
    Daemon daemon(kernel, directory / "spill", 64 * Spill::chunk_size);
    kernel.put(1, 50);
    kernel.put(0, 10'000);
    daemon.take_ring(kernel);
    CHECK_FALSE(daemon.take_spill());
    // What was handed out and not committed moves as well, so that its room is free.
    while (kernel.produced() < ring_size / 2) kernel.put(0, 10'000);
    kernel.put(1, 50);
    CHECK(daemon.take_spill());
    CHECK(kernel.committed() == kernel.produced());
    for (std::uint32_t slot : {0U, 1U}) {
        CHECK(kernel.held_by(slot) == 0);
        CHECK(daemon.seen[1000 + slot] == kernel.states[slot].read);
    }
    CHECK(daemon.in_order);
    // The recorder has caught up: the ring alone again.
    CHECK_FALSE(daemon.take_spill());
    kernel.put(0, 10);
    CHECK_FALSE(daemon.take_spill());
    daemon.take_ring(kernel);
    CHECK(daemon.seen[1000] == kernel.states[0].read);
    CHECK(daemon.in_order);
}

TEST_CASE("backlog: the mover goes on while the recorder is kept from running") {
    const TempDirectory directory;
    Kernel kernel;
    Daemon daemon(kernel, directory / "spill", 64 * Spill::chunk_size);
    while (kernel.produced() < ring_size / 3) kernel.put(0, 10'000);
    daemon.ring_is_readable(true);
    REQUIRE(daemon.mover_moves_all(kernel));
    // The recorder, which was woken as well, has not run: what follows wakes nobody.
    daemon.ring_is_readable(false);
    while (kernel.produced() < 2 * ring_size / 3) kernel.put(0, 10'000);
    CHECK(daemon.mover_moves_all(kernel));
    CHECK(daemon.take_spill());
    CHECK(daemon.seen[1000] == kernel.states[0].read);
    CHECK(daemon.in_order);
}

TEST_CASE("backlog: what is in the ring and in the spill comes once after a crash") {
    const TempDirectory directory;
    Kernel kernel;
    while (kernel.produced() < ring_size / 2) kernel.put(0, 10'000);
    kernel.put(1, 50);
    const std::uint64_t moved = kernel.states[0].read;
    {
        // By hand what a daemon does, up to the point where it is killed.
        auto spill = Spill::open({}, {directory / "spill", 64 * Spill::chunk_size}, instance);
        REQUIRE(spill);
        Ring ring = kernel.ring();
        for (auto payload = ring.next(kernel.produced()); !payload.empty();
             payload = ring.next(kernel.produced())) {
            const auto& head = *reinterpret_cast<const tw_data*>(payload.data());
            if (head.slot != 0) continue;
            const std::span frame(payload.data() - BPF_RINGBUF_HDR_SZ,
                                  TW_RING_ROOM(payload.size()));
            REQUIRE(spill->append(1, frame) == Spill::Appended::taken);
        }
        REQUIRE(spill->flush(kernel.produced()));
    }
    // Without room for more nobody moves anything meanwhile.
    {
        // Of the ring only what the spill has not.
        Daemon daemon(kernel, directory / "spill", 0);
        daemon.take_ring(kernel);
        CHECK(daemon.seen[1000] == 0);
        CHECK(daemon.seen[1001] == 50);
    }
    Daemon daemon(kernel, directory / "spill", 0);
    CHECK(daemon.take_spill());
    CHECK(daemon.seen[1000] == moved);
    CHECK(daemon.seen[1001] == 50);
    CHECK(kernel.committed() == kernel.produced());
    kernel.put(0, 10);
    daemon.take_ring(kernel);
    CHECK(daemon.seen[1000] == moved + 10);
    CHECK(daemon.in_order);
}

TEST_CASE("backlog: a disk that had no room is asked again") {
    const TempDirectory directory;
    Kernel kernel;
    const std::string later = directory / "later";
    Daemon daemon(kernel, later + "/spill", 64 * Spill::chunk_size);
    while (kernel.produced() < ring_size / 2) kernel.put(0, 10'000);
    // It stays in the ring.
    {
        const auto lock = daemon->lock();
        CHECK(daemon->spills() == false);
        const auto error = daemon->take_error();
        REQUIRE(error);
        CHECK(error->code == ENOENT);
    }
    CHECK(kernel.committed() == 0);
    daemon.take_ring(kernel);
    daemon.commit();
    CHECK(daemon.seen[1000] == kernel.states[0].read);
    CHECK_FALSE(daemon.take_spill());
    std::filesystem::create_directory(later);
    const std::uint64_t before = kernel.produced();
    while (kernel.produced() < before + ring_size / 3) kernel.put(0, 10'000);
    CHECK(daemon.take_spill());
    CHECK(daemon.seen[1000] == kernel.states[0].read);
    CHECK(daemon.in_order);
}
