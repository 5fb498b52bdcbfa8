// A wall clock that is set back while a container writes: no line is missing from what is read
// since a time.
#include "store/clock_steps.h"

#include <catch2/catch.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "daemon/container_log.h"
#include "entries.h"
#include "read/log_reader.h"
#include "store/store.h"
#include "temp_directory.h"

using namespace twinlog;

namespace {

constexpr std::int64_t second = 1'000'000'000;

// Of lines of 1 KiB, so that halves of its files are looked at; each has its time, in seconds.
class Log {
 public:
    explicit Log(std::int64_t max_size) : max_size_(max_size) { start(); }

    void start() {
        auto store = Store::open(directory_ / "store", true);
        REQUIRE(store);
        path_ = store->make_container("abc").value();
        ContainerInfo info = store->load("abc").value_or(ContainerInfo{});
        info.id = "abc";
        auto writer =
            LogWriter::open(real_file_system(), path_, {.max_size = max_size_, .max_file = 100});
        REQUIRE(writer);
        log_ = std::make_unique<ContainerLog>(std::move(info), std::move(*writer));
    }
    void write(std::int64_t from, std::int64_t to) {
        for (std::int64_t time = from; time < to; ++time) {
            std::string text = std::to_string(time);
            text.resize(1024, ' ');
            Entry entry = whole(text);
            entry.time_ns = noon + time * second;
            entry.run = 1;
            log_->on_entry(entry);
            times_.push_back(time);
        }
    }
    void save() {
        REQUIRE(log_->flush());
        auto store = Store::open(directory_ / "store", true);
        REQUIRE(store);
        REQUIRE(store->save(log_->info()));
    }
    [[nodiscard]] std::vector<std::int64_t> since(std::int64_t time) const {
        auto reader = LogReader::open(path_, {.since_ns = noon + time * second});
        REQUIRE(reader);
        std::vector<std::int64_t> found;
        for (;;) {
            const auto step = reader->next();
            REQUIRE(step);
            if (*step == LogReader::Step::end) return found;
            REQUIRE(*step == LogReader::Step::entry);
            found.push_back((reader->entry().time_ns - noon) / second);
        }
    }
    void check() const {
        for (std::int64_t time = -50; time < 2500; time += 50) {
            std::vector<std::int64_t> wanted;
            for (const std::int64_t item : times_) {
                if (item >= time) wanted.push_back(item);
            }
            INFO("since " << time);
            CHECK(since(time) == wanted);
        }
    }

 private:
    TempDirectory directory_;
    std::string path_;
    std::int64_t max_size_;
    std::unique_ptr<ContainerLog> log_;
    std::vector<std::int64_t> times_;
};

}  // namespace

TEST_CASE("a clock that is set back loses no line", "[clock_steps]") {
    // All in one file, or in several.
    const std::int64_t max_size = GENERATE(-1, 600'000);
    Log log(max_size);
    SECTION("while the daemon runs") {
        log.write(0, 1500);
        log.write(500, 2000);
        log.save();
        log.check();
        log.write(100, 200);
        log.write(300, 2400);
        log.save();
        log.check();
    }
    SECTION("between two daemons") {
        log.write(0, 1500);
        log.save();
        log.start();
        log.write(500, 2000);
        log.save();
        log.start();
        log.save();
        log.check();
    }
    SECTION("not at all") {
        log.write(0, 2300);
        log.save();
        log.check();
    }
}

TEST_CASE("a step of the clock is more than some disorder", "[clock_steps]") {
    ClockSteps clock;
    const auto pass = [&clock](std::int64_t time_ns) {
        Entry entry = whole("x");
        entry.time_ns = time_ns;
        return clock.pass(entry);
    };
    CHECK_FALSE(pass(100 * second));
    CHECK_FALSE(pass(99 * second));
    CHECK(clock.set_back_ns == 0);
    CHECK(pass(99 * second - 1));
    CHECK(clock.set_back_ns == 100 * second);
    // Once it has passed that time again, what is new is in order.
    CHECK_FALSE(pass(150 * second));
    CHECK(pass(50 * second));
    CHECK(clock.set_back_ns == 150 * second);
    Entry late = piece("x", id_a, 2, true);
    late.time_ns = second;
    CHECK_FALSE(clock.pass(late));
}
