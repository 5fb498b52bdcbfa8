// Checking and mending of a container's logs: what is wrong is told, what is mended is good, and
// what was good is still there.
#include "read/verify.h"

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/docker_local.h"
#include "read/log_reader.h"
#include "store/log_writer.h"
#include "store/removal.h"
#include "store/rotation.h"
#include "store/store.h"
#include "temp_directory.h"

using namespace twinlog;
namespace fs = std::filesystem;

namespace {

const std::string log_name = "container-cached.log";

// A container's directory with a live file, one that is rotated, and one that is compressed.
class Container {
 public:
    Container() {
        auto store = Store::open(directory_ / "store", true);
        REQUIRE(store);
        path_ = store->make_container("abc").value();
        ContainerInfo info;
        info.id = info.name = "abc";
        info.state = ContainerState::ended;
        REQUIRE(store->save(info));
        LogWriter::Options options{.max_size = 300, .max_file = 5};
        options.copies = {find_format("json-file").value(), find_format("cri").value()};
        options.pods = pods();
        auto writer = LogWriter::open(real_file_system(), path_, options,
                                      {.id = "abc", .name = "abc", .runtime = "", .labels = {}});
        REQUIRE(writer);
        std::uint64_t position = 0;
        for (int i = 0; i < 12; ++i) {
            const std::string text = "this is line " + std::to_string(i) + ", of some length";
            Entry entry;
            entry.time_ns = 1'795'478'628'000'000'000 + i;
            entry.line = text;
            entry.run = 1;
            entry.position = position;
            position += stream_bytes(entry);
            (*writer)->append(entry);
            REQUIRE((*writer)->flush());
            if (i == 5) compress();
        }
        info.streams[0].end = {1, position, true};
        REQUIRE(store->save(info));
        texts_ = texts();
        REQUIRE(texts_.size() == 12);
        REQUIRE(fs::exists(file(".1")));
        REQUIRE(fs::exists(file(".2.gz")));
    }

    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] std::string pods() const { return directory_ / "pods"; }
    [[nodiscard]] std::string file(const std::string& suffix) const {
        return path_ + "/" + log_name + suffix;
    }
    [[nodiscard]] Verification verify(bool repair = false) const {
        return verify_container(path_, {repair, false, pods()});
    }
    // Lines of the cached log, gaps left out.
    [[nodiscard]] std::vector<std::string> texts() const {
        auto reader = LogReader::open(path_, {});
        REQUIRE(reader);
        std::vector<std::string> found;
        for (;;) {
            const auto step = reader->next();
            REQUIRE(step);
            if (*step == LogReader::Step::end) return found;
            if (*step == LogReader::Step::entry && !reader->entry().gap) {
                found.emplace_back(reader->entry().line);
            }
        }
    }
    [[nodiscard]] const std::vector<std::string>& original() const { return texts_; }

 private:
    void compress() const {
        Rotation rotation(real_file_system(), file(""), 5, docker_local::format());
        const std::atomic<bool> stop = false;
        rotation.compress(stop);
    }

    TempDirectory directory_;
    std::string path_;
    std::vector<std::string> texts_;
};

// Which texts are there, as far as they are in their order.
bool are_in_order(const std::vector<std::string>& part, const std::vector<std::string>& all) {
    auto from = all.begin();
    for (const std::string& text : part) {
        from = std::find(from, all.end(), text);
        if (from == all.end()) return false;
        ++from;
    }
    return true;
}

// Mends and looks again: no more than lost of the texts may be gone.
void check_repair(const Container& container, std::size_t lost) {
    const Verification mended = container.verify(true);
    for (const Problem& problem : mended.problems) {
        INFO(problem.file << ": " << problem.what);
        CHECK(problem.mended);
    }
    const Verification after = container.verify();
    for (const Problem& problem : after.problems) {
        INFO(problem.file << ": " << problem.what);
        CHECK(false);
    }
    const std::vector<std::string> texts = container.texts();
    CHECK(texts.size() + lost >= container.original().size());
    CHECK(are_in_order(texts, container.original()));
    CHECK(fs::directory_iterator(container.path()) != fs::directory_iterator());
    for (const auto& item : fs::directory_iterator(container.path())) {
        CHECK_FALSE(item.path().extension() == ".tmp");
    }
}

}  // namespace

TEST_CASE("verify: a good store is good, and stays as it is", "[verify]") {
    const Container container;
    const std::string before = contents_of(container.file(".2.gz"));
    const Verification found = container.verify(true);
    CHECK(found.problems.empty());
    CHECK(found.entries == 3 * 12);
    CHECK(contents_of(container.file(".2.gz")) == before);
}

TEST_CASE("verify: any flipped bit of the cached log", "[verify]") {
    const std::string suffix = GENERATE("", ".1");
    const Container container;
    const std::string good = contents_of(container.file(suffix));
    const std::string live = contents_of(container.file(""));
    for (std::size_t at = 0; at < good.size(); ++at) {
        for (const unsigned flip : {0x01U, 0xffU}) {
            INFO(suffix << ": byte " << at << " ^ " << flip);
            std::string bad = good;
            bad[at] = static_cast<char>(static_cast<unsigned char>(bad[at]) ^ flip);
            put_file(container.file(suffix), bad);
            const std::vector<std::string> readable = container.texts();
            const Verification found = container.verify();
            // Nobody can tell one text from another: no checksum is stored.
            if (found.problems.empty()) {
                CHECK(readable.size() + 1 >= container.original().size());
            } else {
                const Verification mended = container.verify(true);
                CHECK(mended.problems.size() == found.problems.size());
                CHECK(container.verify().problems.empty());
                // What was readable before is readable after.
                CHECK(container.texts() == readable);
            }
            CHECK(readable.size() + 1 >= container.original().size());
            put_file(container.file(suffix), good);
        }
    }
}

TEST_CASE("verify: damage is told and mended", "[verify]") {
    const Container container;
    const std::string live = contents_of(container.file(""));
    const std::size_t entry = live.size() / 3;  // three of about the same size
    const auto put = [&](std::string_view bytes) { put_file(container.file(""), bytes); };
    std::size_t lost = 0;
    std::string told;
    SECTION("a torn end") {
        put(live.substr(0, live.size() - 3));
        lost = 1;
        told = "no whole entry";
    }
    SECTION("zeros at the end") {
        put(live + std::string(4096, '\0'));
        told = "4,096 bytes";
    }
    SECTION("a block of zeros in the middle") {
        std::string bad = live;
        std::fill_n(bad.begin() + static_cast<std::ptrdiff_t>(entry / 2), entry, '\0');
        put(bad);
        lost = 2;
        told = "damaged";
    }
    SECTION("a length of 0") {
        put(std::string(4, '\0') + live.substr(4));
        lost = 1;
        told = "at byte 0 are damaged";
    }
    SECTION("a length of 4 GB") {
        put(std::string(4, '\xff') + live.substr(4));
        lost = 1;
        told = "at byte 0 are damaged";
    }
    SECTION("a length that reaches behind the end") {
        put(std::string("\0\x0c\0\0", 4) + live.substr(4));
        lost = 1;
        told = "at byte 0 are damaged";
    }
    SECTION("bytes of somebody else in front") {
        put("garbage" + live);
        told = "7 bytes at byte 0 are damaged";
    }
    SECTION("a rotated file is missing") {
        fs::remove(container.file(".1"));
        lost = 5;
        told = "is missing";
    }
    SECTION("a compressed file ends too early") {
        fs::resize_file(container.file(".2.gz"), fs::file_size(container.file(".2.gz")) / 2);
        lost = 6;
        told = "decompressed";
    }
    SECTION("a compressed file is none") {
        put_file(container.file(".2.gz"), "not gzip at all");
        lost = 6;
        told = "decompressed";
    }
    SECTION("both forms of a rotated file") {
        put_file(container.file(".2"), live);
        told = "there is a compressed one";
    }
    SECTION("half-made files") {
        put_file(container.file(".gz.tmp"), "half");
        put_file(container.path() + "/container.json.new", "{");
        told = "half-made";
    }
    SECTION("container.json is cut") {
        put_file(container.path() + "/container.json", "{\"id\": \"ab");
        told = "container.json";
    }
    const Verification found = container.verify();
    REQUIRE_FALSE(found.problems.empty());
    CHECK(std::any_of(found.problems.begin(), found.problems.end(), [&](const Problem& problem) {
        return (problem.file + ": " + problem.what).find(told) != std::string::npos;
    }));
    check_repair(container, lost);
}

TEST_CASE("verify: all members of a compressed file count", "[verify]") {
    const Container container;
    const std::string path = container.file(".2.gz");
    const std::uint64_t before = container.verify().entries;
    const std::string member = contents_of(path);
    fs::remove(path);
    const std::uint64_t in_others = container.verify().entries;
    put_file(path, member + member);
    CHECK(container.verify().entries == 2 * before - in_others);
    put_file(path, member + "garbage");
    const Verification found = container.verify();
    REQUIRE_FALSE(found.problems.empty());
    CHECK(found.problems.front().what.find("cannot be decompressed from byte " +
                                           std::to_string(member.size())) != std::string::npos);
}

TEST_CASE("verify: damage that goes on is one problem", "[verify]") {
    const Container container;
    const std::string path = container.path() + "/abc-json.log";
    const std::uint64_t before = container.verify().entries;
    const std::string good = contents_of(path);
    std::string bad;
    while (bad.size() < 200'000) bad += "x\n";
    put_file(path, bad + good + bad);
    const Verification found = container.verify();
    CHECK(found.entries == before);
    REQUIRE(found.problems.size() == 2);
    CHECK(found.problems.front().what == "200,000 bytes at byte 0 are damaged");
    CHECK(found.problems.back().what ==
          "200,000 bytes at byte " + std::to_string(bad.size() + good.size()) + " are damaged");
    CHECK(container.verify(true).problems.front().mended);
    CHECK(contents_of(path) == good);
}

TEST_CASE("verify: a directory that cannot be listed is a problem, one that is gone is none",
          "[verify]") {
    const TempDirectory directory;
    put_file(directory / "file", "");
    CHECK(verify_container(directory / "nosuch", {}).problems.empty());
    const Verification found = verify_container(directory / "file", {});
    REQUIRE(found.problems.size() == 1);
    CHECK(found.problems.front().file == directory / "file");
}

TEST_CASE("verify: any flipped bit of a copy costs the lines that it touches", "[verify]") {
    const std::string name = GENERATE("json-file", "cri");
    const Container container;
    const LogFormat& format = *find_format(name).value();
    const LogPlace place =
        format.places({.id = "abc", .name = "abc", .runtime = "", .labels = {}}).front();
    const std::string path =
        (place.in_pods ? container.pods() : container.path()) + "/" + place.path;
    const std::string good = contents_of(path);
    const auto lines = [&format](std::string_view text) {
        std::vector<std::string> found;
        const auto decoder = format.decoder({});
        while (!text.empty()) {
            const Frame frame = decoder->decode(text, true);
            if (frame.state == FrameState::need_more) break;
            if (frame.state == FrameState::whole) found.emplace_back(frame.entry.line);
            text.remove_prefix(frame.size);
        }
        return found;
    };
    const std::vector<std::string> before = lines(good);
    REQUIRE(before.size() > 1);
    for (std::size_t at = 0; at < good.size(); ++at) {
        INFO(name << ": byte " << at);
        std::string bad = good;
        bad[at] = static_cast<char>(static_cast<unsigned char>(bad[at]) ^ 0x01U);
        put_file(path, bad);
        const Verification found = container.verify(true);
        CHECK(container.verify().problems.empty());
        const std::vector<std::string> after = lines(contents_of(path));
        // A newline that is none any more joins two lines.
        const std::size_t touched = good[at] == '\n' && name == "cri" ? 2 : 1;
        std::size_t same = 0;
        for (const std::string& line : before) {
            same += std::find(after.begin(), after.end(), line) != after.end() ? 1 : 0;
        }
        CHECK(same + touched >= before.size());
        if (found.problems.empty()) CHECK(contents_of(path) == bad);
    }
}

TEST_CASE("verify: what is missing at a log's end is told, and becomes a gap", "[verify]") {
    const Container container;
    const std::string live = contents_of(container.file(""));
    const std::size_t lost = GENERATE(0, 1, 2);
    if (lost == 0) fs::remove(container.file(""));
    if (lost == 1) put_file(container.file(""), "");
    if (lost == 2) {
        put_file(container.file(""), live.substr(0, docker_local::decode(live).size));
    }
    const Verification found = container.verify();
    REQUIRE(found.problems.size() == 1);
    CHECK(found.problems.front().what.find("of stdout are missing at the end of the log") !=
          std::string::npos);
    SECTION("mended") {
        const Verification mended = container.verify(true);
        REQUIRE(mended.problems.size() == 1);
        CHECK(mended.problems.front().mended);
        CHECK(container.verify().problems.empty());
        auto reader = LogReader::open(container.path(), {});
        REQUIRE(reader);
        std::optional<Gap> gap;
        for (;;) {
            const auto step = reader->next();
            REQUIRE(step);
            if (*step == LogReader::Step::end) break;
            REQUIRE(*step == LogReader::Step::entry);
            if (reader->entry().gap) gap = reader->entry().gap;
        }
        REQUIRE(gap);
        CHECK(gap->reason == GapReason::damaged);
        CHECK(gap_reason_text(gap->reason) == "the log was damaged after it was written");
    }
    SECTION("no damage where retention removed it") {
        const auto info = read_container_info(container.path());
        REQUIRE(info);
        REQUIRE(save_removal(container.path(), {"max-total", 1, log_ends(*info)}));
        CHECK(container.verify().problems.empty());
    }
    SECTION("not told of one that runs") {
        auto info = read_container_info(container.path());
        REQUIRE(info);
        info->state = ContainerState::running;
        put_file(container.path() + "/container.json", to_json(*info));
        CHECK(container.verify().problems.empty());
    }
}

TEST_CASE("verify: something else in the place of the live file is told", "[verify]") {
    const Container container;
    fs::remove(container.file(""));
    fs::create_directory(container.file(""));
    const Verification found = container.verify(true);
    REQUIRE(found.problems.size() == 2);
    CHECK(found.problems.front().what.find("not a regular file") != std::string::npos);
    CHECK_FALSE(found.problems.back().mended);
}

TEST_CASE("verify: a damaged container.json is named once, with no other way out", "[verify]") {
    const Container container;
    put_file(container.path() + "/container.json", "{");
    const Verification found = container.verify(true);
    REQUIRE(found.problems.size() == 1);
    CHECK(found.problems.front().mended);
    CHECK(found.problems.front().what.find(container.path()) == std::string::npos);
    CHECK(found.problems.front().what.find("remove") == std::string::npos);
    CHECK(read_container_info(container.path()));
}
