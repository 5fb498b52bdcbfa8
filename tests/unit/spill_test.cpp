// The spill, in a directory of its own: what goes in comes out once and in order, over the ends of
// chunks and of daemons, and nobody's flood is another's loss.
#include "capture/spill.h"

#include <linux/bpf.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>
#include <deque>
#include <filesystem>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "capture/spill_place.h"
#include "temp_directory.h"

using namespace twinlog;

namespace {

constexpr std::uint64_t instance = 7;
constexpr std::uint64_t chunk = Spill::chunk_size;

// A ring of records that never forgets, and what came out of the spill.
class Traffic {
 public:
    // Bytes of one stream a run, as a writer's or a reader's record.
    std::span<const std::byte> record(std::uint64_t run, std::size_t size,
                                      std::uint16_t type = TW_READ) {
        tw_data head{};
        head.type = type;
        head.slot = static_cast<std::uint32_t>(run);
        head.stream = 1000 + run;
        auto& position = positions_[{run, type}];
        head.position = position;
        head.length = head.captured = static_cast<std::uint32_t>(size);
        position += size;
        const auto length = static_cast<std::uint32_t>(sizeof(head) + size);
        std::vector<std::byte>& frame = ring_.emplace_back(TW_RING_ROOM(length));
        std::memcpy(frame.data(), &length, sizeof(length));
        std::memcpy(frame.data() + BPF_RINGBUF_HDR_SZ, &head, sizeof(head));
        for (std::size_t i = 0; i < size; ++i) {
            frame[BPF_RINGBUF_HDR_SZ + sizeof(head) + i] = byte_at(head.position + i);
        }
        end_ += frame.size();
        return frame;
    }
    [[nodiscard]] std::uint64_t end() const { return end_; }
    [[nodiscard]] std::uint64_t position(std::uint64_t run, std::uint16_t type = TW_READ) {
        return positions_[{run, type}];
    }
    static std::byte byte_at(std::uint64_t position) {
        return static_cast<std::byte>(position * 31 + (position >> 8U));
    }

 private:
    std::deque<std::vector<std::byte>> ring_;
    std::map<std::pair<std::uint64_t, std::uint16_t>, std::uint64_t> positions_;
    std::uint64_t end_ = 0;
};

// Takes slices until none is left, and checks that each run's reads follow one another.
class Reader {
 public:
    explicit Reader(Spill& spill) : spill_(spill) {}

    // Returns how many slices there were.
    int read(int at_most = 1 << 30, bool commit = true) {
        int slices = 0;
        while (slices < at_most) {
            auto slice = spill_.next();
            REQUIRE(slice);
            if (!*slice) break;
            ++slices;
            take(**slice);
            if (commit) spill_.commit((*slice)->run);
        }
        return slices;
    }

    std::map<std::uint64_t, std::uint64_t> next;     // by run
    std::map<std::uint64_t, std::uint64_t> skipped;  // bytes
    std::vector<std::uint64_t> served;               // runs
    std::vector<SpillSettled> settled;

 private:
    void take(const Spill::Slice& slice) {
        served.push_back(slice.run);
        if (slice.skipped) {
            for (const Spill::Mark& mark : slice.marks) {
                if (mark.stream == 0 || mark.read <= next[slice.run]) continue;
                skipped[slice.run] += mark.read - next[slice.run];
                next[slice.run] = mark.read;
            }
        }
        std::span<const std::byte> rest = slice.frames;
        while (const auto frame = first_frame(rest)) {
            rest = rest.subspan(frame->size);
            std::uint16_t type = 0;
            std::memcpy(&type, frame->payload.data(), sizeof(type));
            if (type == SpillSettled::frame_type) {
                std::memcpy(&settled.emplace_back(), frame->payload.data(), sizeof(SpillSettled));
                continue;
            }
            tw_data head{};
            std::memcpy(&head, frame->payload.data(), sizeof(head));
            REQUIRE(head.stream == 1000 + slice.run);
            if (type != TW_READ || head.position + head.length <= next[slice.run]) continue;
            REQUIRE(head.position == next[slice.run]);
            for (std::uint32_t i = 0; i < head.captured; ++i) {
                if (frame->payload[sizeof(head) + i] != Traffic::byte_at(head.position + i)) {
                    FAIL("byte " << head.position + i << " of run " << slice.run << " is another");
                }
            }
            next[slice.run] += head.length;
        }
        REQUIRE(rest.empty());
    }

    Spill& spill_;
};

Spill open(const TempDirectory& directory, std::uint64_t limit, std::uint64_t of = instance,
           std::uint64_t memory = 0) {
    auto spill = Spill::open({directory / "memory", memory}, {directory / "spill", limit}, of);
    REQUIRE(spill);
    return std::move(*spill);
}

bool exists(const TempDirectory& directory, const char* name = "spill") {
    return std::filesystem::exists(directory / name);
}

}  // namespace

TEST_CASE("spill: nothing is there while nothing is in it") {
    const TempDirectory directory;
    Traffic traffic;
    {
        Spill spill = open(directory, 64 * chunk);
        CHECK_FALSE(exists(directory));
        REQUIRE(spill.append(1, traffic.record(1, 100)) == Spill::Appended::taken);
        REQUIRE(spill.flush(traffic.end()));
        CHECK(exists(directory));
        CHECK(spill.waits(1));
        CHECK(spill.used() == chunk);
        REQUIRE(spill.remove_if_empty());
        CHECK(exists(directory));
        Reader reader(spill);
        CHECK(reader.read() == 1);
        CHECK(reader.next[1] == 100);
        CHECK(spill.empty());
        CHECK(spill.used() == 0);
        REQUIRE(spill.remove_if_empty());
    }
    CHECK_FALSE(exists(directory));
}

TEST_CASE("spill: any sizes of any runs come out whole and in order") {
    const TempDirectory directory;
    const unsigned seed = GENERATE(1U, 2U, 3U, 4U);
    const std::size_t memory = GENERATE(0U, 5U, 500U);
    std::mt19937 chance(seed);
    Traffic traffic;
    Spill spill = open(directory, 512 * chunk, instance, memory * chunk);
    Reader reader(spill);
    const std::vector<std::size_t> sizes = {0, 1, 100, 4096, 65536, chunk - 80, chunk, 1 << 20};
    for (int round = 0; round < 60; ++round) {
        for (std::uint64_t i = chance() % 40; i > 0; --i) {
            const std::uint64_t run = 1 + chance() % 5;
            std::size_t size = sizes[chance() % sizes.size()];
            if (size > 0) size -= chance() % std::min<std::size_t>(size, 64);
            REQUIRE(spill.append(run, traffic.record(run, size)) == Spill::Appended::taken);
        }
        REQUIRE(spill.flush(traffic.end()));
        reader.read(static_cast<int>(chance() % 60));
    }
    reader.read();
    for (std::uint64_t run = 1; run <= 5; ++run) CHECK(reader.next[run] == traffic.position(run));
    CHECK(reader.skipped.empty());
    CHECK(spill.empty());
}

TEST_CASE("spill: runs take turns, what is settled stays in its place") {
    const TempDirectory directory;
    Traffic traffic;
    Spill spill = open(directory, 256 * chunk);
    for (int i = 0; i < 80; ++i) {
        REQUIRE(spill.append(1, traffic.record(1, 65536)) == Spill::Appended::taken);
    }
    REQUIRE(spill.append(2, traffic.record(2, 10)) == Spill::Appended::taken);
    REQUIRE(spill.append(2, SpillSettled{.slot = 2, .stream = 1002, .read = 10}) ==
            Spill::Appended::taken);
    REQUIRE(spill.append(2, traffic.record(2, 10)) == Spill::Appended::taken);
    REQUIRE(spill.flush(traffic.end()));
    Reader reader(spill);
    reader.read(2);
    CHECK(reader.served == std::vector<std::uint64_t>{1, 2});
    CHECK(reader.next[2] == 20);
    REQUIRE(reader.settled.size() == 1);
    CHECK(reader.settled[0].read == 10);
}

TEST_CASE("spill: memory comes first, and again as soon as it has room") {
    const TempDirectory directory;
    Traffic traffic;
    Spill spill = open(directory, 64 * chunk, instance, 2 * chunk);
    CHECK_FALSE(exists(directory, "memory"));
    const auto append_chunk = [&](std::uint64_t run) {
        const std::size_t heads = TW_RING_ROOM(sizeof(tw_data));
        REQUIRE(spill.append(run, traffic.record(run, chunk - heads)) == Spill::Appended::taken);
        REQUIRE(spill.flush(traffic.end()));
    };
    append_chunk(1);
    append_chunk(2);
    CHECK(exists(directory, "memory"));
    CHECK_FALSE(exists(directory));
    append_chunk(2);
    CHECK(exists(directory));
    CHECK(spill.used() == 3 * chunk);
    const auto on_disk = std::filesystem::file_size(directory / "spill");
    Reader reader(spill);
    reader.read(1);
    append_chunk(3);
    CHECK(std::filesystem::file_size(directory / "spill") == on_disk);
    reader.read();
    for (std::uint64_t run = 1; run <= 3; ++run) CHECK(reader.next[run] == traffic.position(run));
    REQUIRE(spill.remove_if_empty());
    CHECK_FALSE(exists(directory));
    CHECK_FALSE(exists(directory, "memory"));
}

TEST_CASE("spill: without memory there is the disk, without the disk nothing") {
    const TempDirectory directory;
    Traffic traffic;
    auto spill = Spill::open({directory / "none/memory", 64 * chunk},
                             {directory / "spill", 64 * chunk}, instance);
    REQUIRE(spill);
    REQUIRE(spill->append(1, traffic.record(1, 100)) == Spill::Appended::taken);
    REQUIRE(spill->flush(traffic.end()));
    CHECK_FALSE(spill->take_error());
    CHECK(exists(directory));
    auto none = Spill::open({directory / "memory", 64 * chunk}, {directory / "other", 0}, instance);
    REQUIRE(none);
    CHECK_FALSE(none->usable());
}

TEST_CASE("spill: a daemon takes up what another one left") {
    const TempDirectory directory;
    const std::size_t memory = GENERATE(0U, 3U, 500U);
    Traffic traffic;
    std::uint64_t before = 0;
    {
        Spill spill = open(directory, 256 * chunk, instance, memory * chunk);
        for (int i = 0; i < 100; ++i) {
            REQUIRE(spill.append(1, traffic.record(1, 50'000)) == Spill::Appended::taken);
            REQUIRE(spill.append(2, traffic.record(2, 50)) == Spill::Appended::taken);
            if (i % 7 == 0) REQUIRE(spill.flush(traffic.end()));
        }
        REQUIRE(spill.flush(traffic.end()));
        Reader reader(spill);
        reader.read(4, /*commit=*/false);
        reader.read(2, /*commit=*/true);
        before = reader.next[1];
        // Not flushed: it is in the ring only.
        REQUIRE(spill.append(1, traffic.record(1, 50'000)) == Spill::Appended::taken);
    }
    const std::uint64_t unflushed = 50'000;
    Spill spill = open(directory, 256 * chunk, instance, memory * chunk);
    const std::uint64_t end = traffic.end() - TW_RING_ROOM(sizeof(tw_data) + unflushed);
    CHECK(spill.knows(1, end));
    CHECK(spill.knows(2, 10));
    CHECK_FALSE(spill.knows(1, end + 1));
    CHECK_FALSE(spill.knows(3, 10));
    spill.forget_known(end);
    CHECK_FALSE(spill.knows(1, end));
    Reader reader(spill);
    reader.next[1] = 0;
    reader.read();
    // Committed chunks count as known: positions say the same to whoever reads on.
    CHECK(reader.skipped[1] <= before);
    CHECK(reader.next[1] == traffic.position(1) - unflushed);
    CHECK(reader.next[2] == traffic.position(2));
}

TEST_CASE("spill: what belongs to other maps is of no use") {
    const TempDirectory directory;
    Traffic traffic;
    {
        Spill spill = open(directory, 64 * chunk);
        REQUIRE(spill.append(1, traffic.record(1, 100)) == Spill::Appended::taken);
        REQUIRE(spill.flush(traffic.end()));
    }
    Spill spill = open(directory, 64 * chunk, instance + 1);
    CHECK(spill.empty());
    CHECK_FALSE(exists(directory));
}

TEST_CASE("spill: damage in the file is an error or a gap, never a crash") {
    const TempDirectory directory;
    Traffic traffic;
    {
        Spill spill = open(directory, 64 * chunk);
        for (int i = 0; i < 20; ++i) {
            REQUIRE(spill.append(1, traffic.record(1, 100'000)) == Spill::Appended::taken);
        }
        REQUIRE(spill.flush(traffic.end()));
    }
    const std::string good = contents_of(directory / "spill");
    std::mt19937 chance(1);
    for (int i = 0; i < 200; ++i) {
        std::string bad = good;
        // Of the head, of the table, of the first frames.
        for (int n = 0; n < 8; ++n) bad[chance() % 20'000] = static_cast<char>(chance());
        if (i % 4 == 0) bad.resize(chance() % bad.size());
        put_file(directory / "spill", bad);
        auto spill = Spill::open({}, {directory / "spill", 64 * chunk}, instance);
        if (!spill) continue;
        for (int slices = 0; slices < 1000 && spill->waits(); ++slices) {
            auto slice = spill->next();
            if (slice && *slice) spill->commit((*slice)->run);
        }
        CHECK_FALSE(spill->waits());
    }
}

TEST_CASE("spill: a flood has half of it, others have room nevertheless") {
    const TempDirectory directory;
    Traffic traffic;
    Spill spill = open(directory, 64 * chunk);
    int refused = 0;
    for (int i = 0; i < 400; ++i) {
        const auto appended = spill.append(1, traffic.record(1, 65536));
        REQUIRE(appended != Spill::Appended::failed);
        refused += appended == Spill::Appended::refused ? 1 : 0;
    }
    REQUIRE(spill.flush(traffic.end()));
    CHECK(refused > 0);
    CHECK(spill.used() == 32 * chunk);
    for (std::uint64_t run = 2; run < 20; ++run) {
        REQUIRE(spill.append(run, traffic.record(run, 1000)) == Spill::Appended::taken);
    }
    REQUIRE(spill.flush(traffic.end()));
    Reader reader(spill);
    reader.next[1] = 0;
    // The flood's first ones are in it, the refused ones are not.
    while (reader.read(1) == 1) {
    }
    CHECK(reader.next[1] == (400U - refused) * 65536U);
    for (std::uint64_t run = 2; run < 20; ++run) CHECK(reader.next[run] == 1000);
}

TEST_CASE("spill: of a flood that its log would not keep the newest is left") {
    const TempDirectory directory;
    const std::uint64_t kept = 10 * chunk;
    Traffic traffic;
    std::uint64_t written = 0;
    std::uint64_t last_skip_left = 0;
    Spill spill = open(directory, 64 * chunk);
    spill.set_keep(1, kept);
    Reader reader(spill);
    for (int i = 0; i < 2000; ++i) {
        // A writer's head for each read: not counted.
        REQUIRE(spill.append(1, traffic.record(1, 4096, TW_DATA)) == Spill::Appended::taken);
        REQUIRE(spill.append(1, traffic.record(1, 30'000)) == Spill::Appended::taken);
        if (i % 10 == 9) REQUIRE(spill.flush(traffic.end()));
        if (i % 100 == 99) {
            const std::uint64_t before = reader.skipped[1];
            reader.read(1);
            written = traffic.position(1);
            if (reader.skipped[1] > before) last_skip_left = written - reader.next[1];
        }
    }
    REQUIRE(spill.flush(traffic.end()));
    CHECK(spill.used() < 32 * chunk);
    reader.read();
    CHECK(reader.skipped[1] > 0);
    CHECK(last_skip_left > 0);
    CHECK(reader.next[1] == traffic.position(1));
    // After the last place where something was skipped there is more than is kept.
    Spill again = open(directory, 64 * chunk);
    CHECK(again.empty());
}

TEST_CASE("spill: the disk has no room") {
    // /dev/full takes nothing.
    auto spill = Spill::open({}, {"/dev/full/spill", 64 * chunk}, instance);
    CHECK_FALSE(spill);
    const TempDirectory directory;
    auto missing = Spill::open({}, {directory / "none/spill", 64 * chunk}, instance);
    REQUIRE(missing);
    Traffic traffic;
    CHECK(missing->append(1, traffic.record(1, 100)) == Spill::Appended::failed);
    const auto error = missing->take_error();
    REQUIRE(error);
    CHECK(error->code == ENOENT);
    CHECK_FALSE(missing->take_error());
}

TEST_CASE("spill: the end of the disk is left to others") {
    CHECK(left_free_of(2'000) == 100);
    CHECK(left_free_of(std::uint64_t{1} << 50U) == std::uint64_t{1} << 30U);
    const TempDirectory directory;
    auto spill =
        Spill::open({}, {directory / "spill", 64 * chunk, std::uint64_t{1} << 60U}, instance);
    REQUIRE(spill);
    Traffic traffic;
    CHECK(spill->append(1, traffic.record(1, 100)) == Spill::Appended::failed);
    const auto error = spill->take_error();
    REQUIRE(error);
    CHECK(error->code == ENOSPC);
    CHECK(spill->empty());
    CHECK(spill->remove_if_empty());
    CHECK_FALSE(std::filesystem::exists(directory / "spill"));
}

TEST_CASE("spill: a daemon with another limit takes up what is there, and keeps to its own then") {
    const TempDirectory directory;
    Traffic traffic;
    {
        Spill spill = open(directory, 64 * chunk, instance, 2 * chunk);
        for (int i = 0; i < 20; ++i) {
            REQUIRE(spill.append(1, traffic.record(1, 50'000)) == Spill::Appended::taken);
        }
        REQUIRE(spill.flush(traffic.end()));
        CHECK(exists(directory));
    }
    Spill spill = open(directory, 64 * chunk);
    Reader reader(spill);
    reader.read();
    CHECK(reader.next[1] == traffic.position(1));
    REQUIRE(spill.remove_if_empty());
    for (int i = 0; i < 20; ++i) {
        REQUIRE(spill.append(1, traffic.record(1, 50'000)) == Spill::Appended::taken);
    }
    REQUIRE(spill.flush(traffic.end()));
    CHECK_FALSE(exists(directory, "memory"));
    reader.read();
    CHECK(reader.next[1] == traffic.position(1));
}
