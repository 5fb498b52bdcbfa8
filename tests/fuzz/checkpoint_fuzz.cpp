// The file that a daemon leaves for the next one, with any bytes in it: it is refused, or says what
// was saved last or the time before; and whatever it says, lines go on from there.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "daemon/checkpoint.h"
#include "fuzz.h"
#include "stream/line_splitter.h"

using namespace twinlog;
using namespace twinlog::fuzz;

namespace {

class Entries : public EntrySink {
 public:
    void on_entry(const Entry& entry) override { bytes += stream_bytes(entry); }
    std::uint64_t bytes = 0;
};

bool same(const LineSplitter::State& a, const LineSplitter::State& b) {
    return a.position == b.position && a.line == b.line && a.time_ns == b.time_ns &&
           a.writer.pid == b.writer.pid && a.writer.tid == b.writer.tid &&
           a.writer.ns_pid == b.writer.ns_pid && a.comm == b.comm && a.partial_id == b.partial_id &&
           a.ordinal == b.ordinal && a.partial_time_ns == b.partial_time_ns;
}

void go_on(const LineSplitter::State& state) {
    Entries entries;
    LineSplitter splitter(entries, Source::stdout_, 1);
    splitter.resume(state);
    const std::size_t pending = splitter.pending();
    splitter.bytes(state.position + pending, "more\n", 1, Writer{});
    splitter.end();
    require(entries.bytes == pending + 5, "a line goes on");
}

// How far the stream was recorded, and the line that had begun there.
struct Saved {
    std::uint64_t done = 0;
    LineSplitter::State begun;
};

Result<Checkpoint> load_only() {
    auto all = Checkpoint::load_all(scratch().path());
    require(all.size() == 1, "there is one");
    return std::move(all.front());
}

Saved saved_in(const Checkpoint& checkpoint, Source source) {
    return {checkpoint.progress(source).done, checkpoint.begun(source)};
}

// What was saved, and damage in the places of lines.
void damage(Input& input, const std::string& path) {
    Entries entries;
    LineSplitter splitter(entries, Source::stdout_, 1);
    auto made =
        need(Checkpoint::create(scratch().path(), {.instance = 1, .run = 2, .start = {}}, {}));
    Saved saved;
    for (int round = 1 + input.byte() % 4; round > 0; --round) {
        std::string bytes(input.take(input.byte()));
        bytes.append(input.size(15), 'x');
        splitter.bytes(saved.done, bytes, round, Writer{1, 2, "comm", 3});
        saved.done += bytes.size();
        StreamCounters counters;
        counters.bytes = saved.done;
        need(made.save(Source::stdout_, saved.done, counters, splitter));
    }
    if (splitter.in_a_line()) saved.begun = splitter.state();
    const auto whole = need(load_only());
    require(whole.progress(Source::stdout_).done == saved.done,
            "how far it was recorded is loaded");
    require(whole.progress(Source::stdout_).bytes == saved.done, "what was counted is loaded");
    // Of no line that has begun, one that had may be told: who reads it sees that it ends before.
    require(!splitter.in_a_line() || same(whole.begun(Source::stdout_), saved.begun),
            "the line that had begun is loaded");
    require(whole.head().instance == 1 && whole.head().run == 2, "the head is loaded");

    const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    // The head is not guarded: it is written at once.
    constexpr std::uint64_t first_place = 4096;
    const std::uint64_t end = need(file_size(fd.get(), path));
    if (end <= first_place) return;
    const std::uint64_t at = first_place + input.upto(end - first_place - 1);
    const std::string_view garbage = input.take(input.byte());
    require(::pwrite(fd.get(), garbage.data(), garbage.size(), static_cast<off_t>(at)) ==
                static_cast<ssize_t>(garbage.size()),
            "the file can be written");
    if (input.flag()) require(::ftruncate(fd.get(), static_cast<off_t>(at)) == 0, "and cut");
    const Saved loaded = saved_in(need(load_only()), Source::stdout_);
    require(loaded.done == saved.done, "damage elsewhere leaves the position");
    require(loaded.begun.line.empty() || same(loaded.begun, saved.begun),
            "damage makes no line up");
    go_on(loaded.begun);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input input(data, size);
    scratch().clear();
    const std::string path = scratch() / "checkpoint.2";
    if (input.flag()) {
        damage(input, path);
        return 0;
    }
    const std::string_view prefix =
        input.flag() ? std::string_view("TWCKPT03") : std::string_view();
    put_file(path, std::string(prefix) + std::string(input.rest()));
    const auto loaded = load_only();
    if (!loaded) return 0;
    for (const Source source : {Source::stdout_, Source::stderr_}) go_on(loaded->begun(source));
    return 0;
}
