// Every operation on files that writing a container's logs takes, made to fail: once, as a short
// write, for a while, or as the process's last. Whatever happens, what the logs hold and what they
// say is missing is what was written.
#include <algorithm>
#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "read/log_reader.h"
#include "read/verify.h"
#include "real_files.h"
#include "store/gzip.h"
#include "store/layout.h"
#include "store/log_writer.h"
#include "store/rotation.h"
#include "store/store.h"
#include "temp_directory.h"

using namespace twinlog;

namespace {

// The next operation to fail. Under the sanitizers a run takes ten times as long, so it is only
// each seventh there, more or less: a fixed distance could miss all renames, which come at one as
// well.
std::uint64_t after(std::uint64_t operation) {
#ifdef __SANITIZE_ADDRESS__
    return operation + 1 + operation * operation % 13;
#else
    return operation + 1;
#endif
}

constexpr std::uint64_t never = std::numeric_limits<std::uint64_t>::max();

// Operations [first, first + count) fail.
struct Fault {
    std::uint64_t first = never;
    std::uint64_t count = 1;
    int code = ENOSPC;
    bool half = false;  // the first takes half of its bytes, if it is a write
};

class FaultyFileSystem : public RealFiles {
 public:
    explicit FaultyFileSystem(Fault fault = {}) : fault_(fault) {}

    std::uint64_t operations = 0;
    std::map<std::string, int> failed;  // how often, by what

    void heal() { fault_ = {}; }

    Result<UniqueFd> open_log(const std::string& path, mode_t mode) override {
        if (fails("open")) return fail_errno(path, "opening it");
        return RealFiles::open_log(path, mode);
    }
    Result<UniqueFd> make(const std::string& path, mode_t mode) override {
        if (fails("make")) return fail_errno(path, "making it");
        return RealFiles::make(path, mode);
    }
    ssize_t write(int fd, std::string_view bytes) override {
        const bool first = operations == fault_.first;
        if (!fails("write")) return RealFiles::write(fd, bytes);
        if (!first || !fault_.half || bytes.size() < 2) return -1;
        return RealFiles::write(fd, bytes.substr(0, bytes.size() / 2));
    }
    int truncate(int fd, std::uint64_t size) override {
        return fails("truncate") ? -1 : RealFiles::truncate(fd, size);
    }
    int sync(int /*fd*/) override { return fails("sync") ? -1 : 0; }
    Status rename(const std::string& from, const std::string& to) override {
        if (fails("rename")) return fail_errno(from, "renaming it to " + to);
        return RealFiles::rename(from, to);
    }
    Status remove(const std::string& path) override {
        if (fails("remove")) return fail_errno(path, "removing it");
        return RealFiles::remove(path);
    }

 private:
    bool fails(const char* what) {
        const std::uint64_t operation = operations++;
        if (operation < fault_.first || operation - fault_.first >= fault_.count) return false;
        ++failed[what];
        errno = fault_.code;
        return true;
    }

    Fault fault_;
};

// What a container writes: every text is there once.
struct Written {
    Entry entry;  // borrows from text and id
    std::string text;
    std::string id;
};

std::vector<Written> output() {
    std::vector<Written> all(30);
    std::array<std::uint64_t, 2> positions{};
    for (std::size_t i = 0; i < all.size(); ++i) {
        Written& one = all[i];
        const Source source = i % 3 == 1 ? Source::stderr_ : Source::stdout_;
        one.text = "entry number " + std::to_string(i) + std::string(i * 7 % 40, '.');
        one.id = std::string(64, static_cast<char>('a' + i / 6 % 6));
        one.entry.source = source;
        one.entry.time_ns = 1'795'478'628'000'000'000 + static_cast<std::int64_t>(i) * 1'000'000;
        one.entry.line = one.text;
        one.entry.run = 1;
        one.entry.position = positions[static_cast<std::size_t>(source)];
        // Some lines come in two pieces.
        if (i % 6 == 0) one.entry.partial = Partial{one.id, 1, false};
        if (i % 6 == 2) one.entry.partial = Partial{one.id, 2, true};
        positions[static_cast<std::size_t>(source)] += stream_bytes(one.entry);
    }
    for (std::size_t i = 2; i < all.size(); i += 6) {
        all[i].id = all[i - 2].id;
        all[i].entry.partial->id = all[i].id;
    }
    return all;
}

using Positions = std::array<std::uint64_t, 2>;

// One run of a writer, its directory, and what is expected of it.
class Run {
 public:
    explicit Run(Fault fault) : files(fault) {
        auto store = Store::open(directory / "store", true);
        REQUIRE(store);
        container_ = store->make_container(id).value();
        ContainerInfo info;
        info.id = info.name = id;
        info.state = ContainerState::ended;
        REQUIRE(store->save(info));
    }

    FaultyFileSystem files;

    // As the daemon does: a failure of one batch is no reason to stop. dies: as if the process were
    // killed at the first failure.
    void write_all(bool dies) {
        Positions from{};
        std::unique_ptr<LogWriter> writer;
        for (std::size_t i = 0; i < output_.size(); ++i) {
            while (!writer) {
                writer = open();
                if (dies && !files.failed.empty()) return;
            }
            put(*writer, output_[i], from);
            if (i % 4 != 3) continue;
            (void)writer->flush();
            if (dies && !files.failed.empty()) return;
            if (i % 8 == 7) compress();
            if (dies && !files.failed.empty()) return;
        }
        (void)writer->flush();
        if (dies && !files.failed.empty()) return;
        files.heal();
        finish(*writer);
    }

    // What the next daemon does: goes on behind what the cached log has.
    void go_on() {
        files.heal();
        auto writer = open();
        REQUIRE(writer);
        const Positions from = check_cached();
        for (const Written& one : output_) put(*writer, one, from);
        finish(*writer);
    }

    // The positions behind what the cached log holds, which has no hole up to there.
    Positions check_cached() {
        auto reader = LogReader::open(container_, {});
        REQUIRE(reader);
        Positions next{};
        for (;;) {
            const auto step = reader->next();
            REQUIRE(step);
            if (*step == LogReader::Step::end) return next;
            if (*step == LogReader::Step::damage) {
                INFO(reader->damage().message());
                CHECK(reader->damage().kind == Damage::Kind::torn);
                continue;
            }
            const Entry& entry = reader->entry();
            CHECK(entry.position == next[static_cast<std::size_t>(entry.source)]);
            take(entry, next);
        }
    }

    void check_all(bool complete) {
        complete_ = complete;
        const Positions cached = check_cached();
        CHECK(cached == end_);
        for (const LogFormat* format : copies()) check_copy(*format);
        if (complete) CHECK(gaps_ == 0);
    }

    void check_verify() {
        const VerifyOptions options{.repair = false, .live = false, .pods = pods()};
        const auto found = verify_container(container_, options);
        for (const Problem& problem : found.problems) {
            INFO(problem.file << ": " << problem.what);
            const auto says = [&problem](const char* what) {
                return problem.what.find(what) != std::string::npos;
            };
            const bool known = says("no whole entry") || says("half-made") || says("is missing") ||
                               says("there is a compressed one");
            CHECK(known);
        }
        const auto mended = verify_container(container_, {true, false, pods()});
        for (const Problem& problem : mended.problems) CHECK(problem.mended);
        const auto after = verify_container(container_, options);
        CHECK(after.problems.empty());
        CHECK(after.entries == found.entries);
    }

 private:
    static constexpr const char* id = "abc";

    static std::vector<const LogFormat*> copies() {
        const auto all = formats();
        return {all.begin() + 1, all.end()};
    }
    [[nodiscard]] std::string pods() const { return directory / "pods"; }

    std::unique_ptr<LogWriter> open() {
        LogWriter::Options options{.max_size = 400, .max_file = 100};
        options.copies = copies();
        options.pods = pods();
        auto writer = LogWriter::open(files, container_, options, owner_);
        if (!writer) return nullptr;
        // A copy that could not be opened would be missing for good: here the daemon starts again.
        const auto& notes = (*writer)->notes();
        const bool all = std::none_of(notes.begin(), notes.end(), [](const std::string& note) {
            return note.starts_with("no log");
        });
        return all ? std::move(*writer) : nullptr;
    }

    static void put(LogWriter& writer, const Written& one, const Positions& from) {
        Entry entry = one.entry;
        if (entry.position < from[static_cast<std::size_t>(entry.source)]) return;
        entry.line = one.text;
        writer.append(entry);
    }

    static void finish(LogWriter& writer) {
        (void)writer.flush();  // may tell of what failed before
        REQUIRE(writer.flush());
        REQUIRE_FALSE(writer.has_pending());
    }

    struct Place {
        std::string path;
        const LogFormat* format;
        std::optional<Source> only;
    };

    std::vector<Place> places() {
        std::vector<Place> found;
        for (const LogFormat* format : formats()) {
            for (const LogPlace& place : format->places(owner_)) {
                found.push_back(
                    {(place.in_pods ? pods() : container_) + "/" + place.path, format, place.only});
            }
        }
        return found;
    }

    void compress() {
        const std::atomic<bool> stop = false;
        for (const Place& place : places()) {
            Rotation rotation(files, place.path, 100, *place.format);
            rotation.compress(stop);
        }
    }

    // What was written at that place, or the gap that stands for it.
    void take(const Entry& entry, Positions& next) {
        std::uint64_t& position = next[static_cast<std::size_t>(entry.source)];
        if (entry.gap) {
            gaps_ += entry.gap->bytes;
            position += entry.gap->bytes;
            return;
        }
        const auto one = std::find_if(output_.begin(), output_.end(), [&](const Written& written) {
            return written.entry.source == entry.source && written.entry.position == position;
        });
        REQUIRE(one != output_.end());
        CHECK(entry.line == one->text);
        position += stream_bytes(one->entry);
    }

    std::vector<std::string> files_of(const std::string& path) {
        std::vector<std::string> texts;  // oldest first
        for (int number = 0; number < 100; ++number) {
            const std::string plain = path + rotated_suffix({number, false});
            const std::string packed = path + rotated_suffix({number, true});
            const bool is_packed = number > 0 && std::filesystem::exists(packed);
            // A rotation that failed half-way leaves a number that nobody has.
            if (!is_packed && !std::filesystem::exists(plain)) continue;
            texts.insert(texts.begin(), is_packed ? unpacked(packed) : contents_of(plain));
        }
        return texts;
    }

    static std::string unpacked(const std::string& path) {
        const auto file = real_file_system().open_log(path, 0600);
        REQUIRE(file);
        auto gzip = GzipReader::open(file->get(), path);
        REQUIRE(gzip);
        std::string text(100'000, '\0');
        const auto got = (*gzip)->read_at(0, text.data(), text.size());
        REQUIRE(got);
        CHECK_FALSE((*gzip)->damaged_at());
        text.resize(*got);
        return text;
    }

    void check_copy(const LogFormat& format) {
        Positions next{};
        for (const Place& place : places()) {
            if (place.format != &format) continue;
            INFO(place.path);
            std::size_t at = 0;  // of the next entry of a raw stream
            for (const std::string& text : files_of(place.path)) {
                if (place.only) {
                    check_raw(text, *place.only, at);
                } else {
                    check_lines(format, text, next);
                }
            }
            if (place.only && complete_) {
                while (at < output_.size() && output_[at].entry.source != *place.only) ++at;
                CHECK(at == output_.size());
            }
        }
        if (format.keeps().gaps) CHECK(next == end_);
    }

    void check_lines(const LogFormat& format, std::string_view text, Positions& next) {
        const auto decoder = format.decoder({});
        while (!text.empty()) {
            const Frame frame = decoder->decode(text, true);
            if (frame.state == FrameState::need_more) return;  // torn, and could not be cut
            REQUIRE(frame.state == FrameState::whole);
            take(frame.entry, next);
            text.remove_prefix(frame.size);
        }
    }

    // Texts of entries in their order; raw has no word for those that are missing.
    void check_raw(std::string_view text, Source source, std::size_t& at) {
        for (; at < output_.size() && !text.empty(); ++at) {
            const Entry& entry = output_[at].entry;
            if (entry.source != source) continue;
            std::string whole = output_[at].text;
            if (!entry.partial || entry.partial->last) whole += '\n';
            if (text.starts_with(whole)) {
                text.remove_prefix(whole.size());
            } else {
                CHECK_FALSE(complete_);
                if (whole.starts_with(text)) text = {};  // torn, and could not be cut
            }
        }
        CHECK(text.empty());
    }

    TempDirectory directory;
    std::string container_;
    const LogOwner owner_{.id = id, .name = "web", .runtime = "docker", .labels = {}};
    const std::vector<Written> output_ = output();
    const Positions end_ = [this] {
        Positions end{};
        for (const Written& one : output_) {
            end[static_cast<std::size_t>(one.entry.source)] =
                one.entry.position + stream_bytes(one.entry);
        }
        return end;
    }();
    std::uint64_t gaps_ = 0;
    bool complete_ = false;
};

std::uint64_t count_operations() {
    Run run(Fault{});
    run.write_all(false);
    run.check_all(true);
    run.check_verify();
    return run.files.operations;
}

}  // namespace

TEST_CASE("faults: each operation fails, nothing is missing without a word", "[log_faults]") {
    struct Kind {
        const char* name;
        std::uint64_t count;
        int code;
        bool half;
    };
    const auto kind = GENERATE(values<Kind>({{"disk full", 1, ENOSPC, false},
                                             {"short write, then full", 2, ENOSPC, true},
                                             {"I/O errors for a while", 9, EIO, true},
                                             {"read-only for long", 60, EROFS, false}}));
    const std::uint64_t operations = count_operations();
    std::map<std::string, int> failed;
    for (std::uint64_t first = 0; first < operations; first = after(first)) {
        INFO(kind.name << ", from operation " << first);
        Run run(Fault{first, kind.count, kind.code, kind.half});
        run.write_all(false);
        run.check_all(false);
        run.check_verify();
        run.check_all(false);
        for (const auto& [what, times] : run.files.failed) failed[what] += times;
    }
    for (const char* const what : {"open", "make", "write", "sync", "rename", "remove"}) {
        CHECK(failed[what] > 0);
    }
}

TEST_CASE("faults: the process ends at each operation, and nothing is lost", "[log_faults]") {
    const bool half = GENERATE(false, true);
    const std::uint64_t operations = count_operations();
    for (std::uint64_t first = 0; first < operations; first = after(first)) {
        INFO("killed at operation " << first << (half ? ", half of it done" : ""));
        Run run(Fault{first, never, EIO, half});
        run.write_all(true);
        run.go_on();
        run.check_all(true);
        run.check_verify();
    }
}
