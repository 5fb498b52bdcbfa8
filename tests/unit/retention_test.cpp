// What a store keeps: sizes, ages, containers that are gone.
#include "store/retention.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "format/docker_local.h"
#include "store/housekeeper.h"
#include "store/layout.h"
#include "store/log_writer.h"
#include "store/removal.h"
#include "store/store.h"
#include "temp_directory.h"

using namespace twinlog;
namespace fs = std::filesystem;

namespace {

constexpr std::int64_t second = 1'000'000'000;
constexpr std::int64_t now = 1'795'000'000 * second;

class StoreOfTest {
 public:
    StoreOfTest() { REQUIRE(Store::open(path(), true)); }

    [[nodiscard]] std::string path() const { return directory_ / "store"; }
    [[nodiscard]] std::string file(const std::string& id, const std::string& name) const {
        return layout::container_directory(path(), id) + "/" + name;
    }
    void container(const std::string& id, ContainerState state = ContainerState::running,
                   std::int64_t ended_ns = 0) const {
        auto store = Store::open(path(), true);
        REQUIRE(store);
        REQUIRE(store->make_container(id));
        ContainerInfo info;
        info.id = info.name = id;
        info.runtime = "docker";
        info.state = state;
        info.ended_ns = ended_ns;
        REQUIRE(store->save(info));
    }
    void log(const std::string& id, const std::string& suffix, std::size_t bytes,
             std::int64_t written_ns = now) const {
        const std::string name = file(id, "container-cached.log" + suffix);
        put_file(name, std::string(bytes, 'x'));
        const timespec times[2] = {{written_ns / second, 0}, {written_ns / second, 0}};
        REQUIRE(::utimensat(AT_FDCWD, name.c_str(), times, 0) == 0);
    }
    [[nodiscard]] bool has(const std::string& id, const std::string& suffix) const {
        return fs::exists(file(id, "container-cached.log" + suffix));
    }
    // Bytes of all logs.
    [[nodiscard]] std::uint64_t bytes() const {
        std::uint64_t all = 0;
        for (const auto& item : fs::recursive_directory_iterator(directory_.path())) {
            const std::string name = item.path().filename();
            if (item.is_regular_file() && name.find(".log") != std::string::npos) {
                all += item.file_size();
            }
        }
        return all;
    }
    [[nodiscard]] Retention retention() const {
        Retention limits;
        limits.store = path();
        limits.pods = directory_ / "pods";
        return limits;
    }
    [[nodiscard]] std::string pods() const { return directory_ / "pods"; }

 private:
    TempDirectory directory_;
};

const RemovedCheck all_removed = [](const ContainerInfo&) { return true; };
const RemovedCheck none_removed = [](const ContainerInfo&) { return false; };

}  // namespace

TEST_CASE("retention: the oldest rotated files of the biggest containers go first", "[retention]") {
    const StoreOfTest store;
    store.container("big");
    store.container("small");
    for (const char* const suffix : {"", ".1", ".2.gz", ".3.gz"}) store.log("big", suffix, 100);
    for (const char* const suffix : {"", ".1"}) store.log("small", suffix, 100);
    Retention limits = store.retention();
    ActiveLogs unused;
    limits.max_total = 400;
    enforce(limits, unused, none_removed, now);
    CHECK_FALSE(store.has("big", ".3.gz"));
    CHECK_FALSE(store.has("big", ".2.gz"));
    CHECK(store.has("big", ".1"));
    CHECK(store.has("small", ".1"));
    // Live files stay, whatever the limit.
    limits.max_total = 1;
    CHECK(enforce_total(limits, unused) == 200);
    CHECK(store.has("big", ""));
    CHECK(store.has("small", ""));
    CHECK_FALSE(store.has("big", ".1"));
    CHECK_FALSE(store.has("small", ".1"));
}

TEST_CASE("retention: age takes rotated files, and all of containers that ended", "[retention]") {
    const StoreOfTest store;
    store.container("runs");
    store.container("ended", ContainerState::ended, now - 100 * second);
    for (const char* const id : {"runs", "ended"}) {
        store.log(id, "", 10, now - 60 * second);
        store.log(id, ".1", 10, now - 59 * second);
        store.log(id, ".2.gz", 10, now - 61 * second);
    }
    Retention limits = store.retention();
    ActiveLogs unused;
    limits.max_age_ns = 60 * second;
    enforce(limits, unused, none_removed, now);
    for (const char* const id : {"runs", "ended"}) {
        CHECK(store.has(id, ".1"));
        CHECK_FALSE(store.has(id, ".2.gz"));
    }
    CHECK(store.has("runs", ""));
    CHECK_FALSE(store.has("ended", ""));
}

TEST_CASE("retention: containers that are gone are kept for a while", "[retention]") {
    const StoreOfTest store;
    store.container("old", ContainerState::ended, now - 3600 * second);
    store.container("young", ContainerState::ended, now - 3599 * second);
    store.container("runs");
    for (const char* const id : {"old", "young", "runs"}) store.log(id, "", 10);
    Retention limits = store.retention();
    ActiveLogs unused;
    limits.keep_removed_ns = 3600 * second;
    enforce(limits, unused, none_removed, now);
    CHECK(store.has("old", ""));
    enforce(limits, unused, all_removed, now);
    CHECK_FALSE(fs::exists(layout::container_directory(store.path(), "old")));
    CHECK(store.has("young", ""));
    CHECK(store.has("runs", ""));
    limits.keep_removed_ns = -1;
    enforce(limits, unused, all_removed, now + 1'000'000 * second);
    CHECK(store.has("young", ""));
}

TEST_CASE("retention: links and strangers are left alone", "[retention]") {
    const StoreOfTest store;
    store.container("abc", ContainerState::ended, now - 3600 * second);
    put_file(store.path() + "/outside", "precious");
    fs::create_symlink(store.path() + "/outside", store.file("abc", "container-cached.log.1"));
    put_file(store.file("abc", "container-cached.log.x"), "not ours");
    Retention limits = store.retention();
    ActiveLogs unused;
    limits.max_total = 1;
    limits.max_age_ns = 1;
    enforce(limits, unused, none_removed, now);
    CHECK(contents_of(store.path() + "/outside") == "precious");
    CHECK(store.has("abc", ".x"));
}

TEST_CASE("retention: where rotated files do not do, live ones of ended containers go",
          "[retention]") {
    const StoreOfTest store;
    store.container("first", ContainerState::ended, now - 20 * second);
    store.container("second", ContainerState::ended, now - 10 * second);
    store.container("written", ContainerState::ended, now - 30 * second);
    store.container("runs");
    for (const char* const id : {"first", "second", "written", "runs"}) store.log(id, "", 100);
    store.log("second", ".1", 100);
    ActiveLogs active;
    // The next run, of which container.json says nothing yet.
    const auto writer =
        active.rotation_of(real_file_system(), store.file("written", "container-cached.log"), 3,
                           docker_local::format());
    Retention limits = store.retention();
    limits.max_total = 300;
    CHECK(enforce_total(limits, active) == 300);
    CHECK_FALSE(store.has("second", ".1"));
    CHECK_FALSE(store.has("first", ""));
    CHECK(store.has("second", ""));
    const auto removal = read_removal(layout::container_directory(store.path(), "first"));
    REQUIRE(removal);
    CHECK(removal->limit == "max-total");
    // What was not the log's end is not told.
    CHECK_FALSE(read_removal(layout::container_directory(store.path(), "second")));
    limits.max_total = 1;
    CHECK(enforce_total(limits, active) == 200);
    CHECK(store.has("written", ""));
    CHECK(store.has("runs", ""));
}

TEST_CASE("retention: of what age has emptied nothing stays once its runtime removed it",
          "[retention]") {
    const StoreOfTest store;
    for (const char* const id : {"old", "silent"}) {
        store.container(id, ContainerState::ended, now - 100 * second);
    }
    store.log("old", "", 10, now - 60 * second);
    const auto is_there = [&store](const char* id) {
        return fs::exists(layout::container_directory(store.path(), id));
    };
    Retention limits = store.retention();
    limits.max_age_ns = 60 * second;
    ActiveLogs unused;
    enforce(limits, unused, none_removed, now);
    CHECK_FALSE(store.has("old", ""));
    CHECK(is_there("old"));
    const auto removal = read_removal(layout::container_directory(store.path(), "old"));
    REQUIRE(removal);
    CHECK(removal->limit == "max-age");
    enforce(limits, unused, all_removed, now);
    CHECK_FALSE(is_there("old"));
    // One that never said anything is not one whose log was removed.
    CHECK(is_there("silent"));
}

TEST_CASE("retention: logs whose container.json is gone or damaged count, too", "[retention]") {
    const StoreOfTest store;
    for (const char* const id : {"gone", "damaged"}) {
        store.container(id);
        store.log(id, "", 100);
        store.log(id, ".1", 100);
    }
    fs::remove(store.file("gone", "container.json"));
    put_file(store.file("damaged", "container.json"), "{");
    ActiveLogs unused;
    Retention limits = store.retention();
    limits.max_total = 200;
    CHECK(enforce_total(limits, unused) == 200);
    limits.max_total = 1;
    CHECK(enforce_total(limits, unused) == 0);
}

TEST_CASE("retention: only the log of the container itself is removed from the pods",
          "[retention]") {
    const StoreOfTest store;
    const std::map<std::string, std::string> labels = {{"io.kubernetes.pod.name", "p"},
                                                       {"io.kubernetes.pod.uid", "u"},
                                                       {"io.kubernetes.pod.namespace", "n"}};
    const auto owner = [&labels](const std::string& id) {
        return LogOwner{.id = id, .name = id, .runtime = "docker", .labels = labels};
    };
    LogWriter::Options options;
    options.copies = {find_format("cri").value()};
    options.pods = store.pods();
    const auto write = [&](const std::string& id) {
        auto writer = LogWriter::open(
            real_file_system(), layout::container_directory(store.path(), id), options, owner(id));
        REQUIRE(writer);
        Entry entry;
        entry.time_ns = now;
        entry.line = id;
        entry.run = 1;
        (*writer)->append(entry);
        REQUIRE((*writer)->flush());
        return (*writer)->notes().size();
    };
    for (const char* const id : {"first", "second"}) {
        store.container(id, ContainerState::ended, now - 10 * second);
        auto opened = Store::open(store.path(), true);
        auto info = opened->load(id).value();
        info.labels = labels;
        REQUIRE(opened->save(info));
    }
    CHECK(write("first") == 0);
    CHECK(write("second") == 1);
    // Its next run goes on where it was.
    CHECK(write("first") == 0);
    const LogPlace place = find_format("cri").value()->places(owner("second")).front();
    const std::string contested = store.pods() + "/" + place.path;
    const std::string own = store.pods() + "/" + place.otherwise;
    CHECK(contents_of(contested).find("second") == std::string::npos);
    CHECK(contents_of(own).find("second") != std::string::npos);
    CHECK(contents_of(own).find("first") == std::string::npos);
    Retention limits = store.retention();
    limits.keep_removed_ns = 1;
    ActiveLogs unused;
    const auto only = [](const std::string& id) {
        return [id](const ContainerInfo& info) { return info.id == id; };
    };
    enforce(limits, unused, only("second"), now);
    CHECK(fs::exists(contested));
    CHECK_FALSE(fs::exists(own));
    enforce(limits, unused, only("first"), now);
    CHECK_FALSE(fs::exists(store.pods() + "/n_p_u"));
}

// Writers of many containers, in all formats, of any sizes: never more than was promised, and one
// file a log.
TEST_CASE("retention: never more on disk than promised", "[retention]") {
    const bool compress = GENERATE(true, false);
    std::mt19937 random(7);  // NOLINT(cert-msc51-cpp): the same each time
    const StoreOfTest store;
    constexpr std::int64_t max_size = 2000;
    constexpr std::uint64_t max_total = 60'000;
    constexpr std::size_t longest = 500;  // of a line
    Retention limits = store.retention();
    limits.max_total = max_total;
    // Its thread does not run, as if it got no time.
    const auto housekeeper = std::make_shared<Housekeeper>(limits, none_removed);
    LogWriter::Options options{.max_size = max_size, .max_file = 10};
    options.copies = {formats().begin() + 1, formats().end()};
    options.pods = store.pods();
    options.compress = compress;
    options.housekeeper = housekeeper;
    std::vector<std::unique_ptr<LogWriter>> writers;
    constexpr int containers = 6;
    for (int i = 0; i < containers; ++i) {
        const std::string id = "c" + std::to_string(i);
        store.container(id);
        auto writer =
            LogWriter::open(real_file_system(), layout::container_directory(store.path(), id),
                            options, {.id = id, .name = id, .runtime = "docker", .labels = {}});
        REQUIRE(writer);
        writers.push_back(std::move(*writer));
    }
    constexpr std::uint64_t logs = 5;  // a container: local, json-file, cri, two of raw
    // An entry's frame reaches over the size of its file; JSON escapes make six bytes of one.
    constexpr std::uint64_t one_file = max_size + 7 * longest;
    std::uint64_t most = 0;
    for (int i = 0; i < 4000; ++i) {
        const std::string line(random() % longest, random() % 8 == 0 ? '\1' : 'x');
        Entry entry;
        entry.source = random() % 2 == 0 ? Source::stdout_ : Source::stderr_;
        entry.time_ns = now + i;
        entry.line = line;
        entry.run = 1;
        LogWriter& writer = *writers[random() % 3 == 0 ? 0 : random() % containers];
        writer.append(entry);
        if (random() % 4 != 0) continue;
        REQUIRE(writer.flush());
        most = std::max(most, store.bytes());
        REQUIRE(store.bytes() <= max_total + containers * logs * one_file);
        for (int c = 0; c < containers; ++c) {
            const std::string id = "c" + std::to_string(c);
            std::uint64_t bytes = 0;
            for (int number = 0; number < 20; ++number) {
                std::error_code none;
                const auto size = fs::file_size(store.file(id, layout::log_name(number)), none);
                if (!none) bytes += size;
                REQUIRE((none || number < options.max_file));
            }
            REQUIRE(bytes <= options.max_file * one_file);
        }
    }
    CHECK(most > max_total / 2);
}

TEST_CASE("retention: a rotated file is removed only while it is the one that was meant",
          "[retention]") {
    const StoreOfTest store;
    store.container("abc");
    store.log("abc", ".1", 10);
    Rotation rotation(real_file_system(), store.file("abc", "container-cached.log"), 3,
                      docker_local::format());
    struct stat status {};
    REQUIRE(::stat(store.file("abc", "container-cached.log.1").c_str(), &status) == 0);
    rotation.remove(store.file("abc", "container-cached.log.1"), status.st_ino + 1);
    CHECK(store.has("abc", ".1"));
    rotation.remove(store.file("abc", "container-cached.log.1"), status.st_ino);
    CHECK_FALSE(store.has("abc", ".1"));
}

TEST_CASE("housekeeper: rotated files are compressed though their writer is gone",
          "[housekeeper]") {
    const StoreOfTest store;
    store.container("abc");
    const std::string path = store.file("abc", "container-cached.log");
    Housekeeper housekeeper(store.retention(), none_removed);
    {
        const auto rotation =
            housekeeper.rotation_of(real_file_system(), path, 3, docker_local::format());
        store.log("abc", "", 10);
        REQUIRE(rotation->rotate());
        housekeeper.compress(rotation);
    }
    // A writer that comes back meanwhile agrees with the compression about names.
    const auto again = housekeeper.rotation_of(real_file_system(), path, 3, docker_local::format());
    CHECK(again.use_count() == 2);
    CHECK(housekeeper.rotation_of(real_file_system(), path, 3, docker_local::format()) == again);
    CHECK(housekeeper.rotation_of(real_file_system(), path, 4, docker_local::format()) != again);
    housekeeper.start();
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!store.has("abc", ".1.gz") || store.has("abc", ".1")) {
        REQUIRE(std::chrono::steady_clock::now() < deadline);
        std::this_thread::yield();
    }
}
