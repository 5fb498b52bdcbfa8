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

// What was saved, and damage in it.
void damage(Input& input, const std::string& path) {
    Entries entries;
    LineSplitter splitter(entries, Source::stdout_, 1);
    auto made = need(Checkpoint::create(scratch().path(), {.instance = 1, .run = 2, .start = {}}));
    std::vector<LineSplitter::State> saved(1);
    std::uint64_t position = 0;
    for (int round = 1 + input.byte() % 4; round > 0; --round) {
        std::string bytes(input.take(input.byte()));
        bytes.append(input.size(15), 'x');
        splitter.bytes(position, bytes, round, Writer{1, 2, "comm", 3});
        position += bytes.size();
        need(made.save(Source::stdout_, splitter));
        const LineSplitter::State& state = made.state(Source::stdout_);
        if (!same(state, saved.back())) saved.push_back(state);
    }
    const auto whole = need(Checkpoint::load(scratch().path()));
    require(same(whole.state(Source::stdout_), saved.back()), "what was saved is loaded");
    require(whole.head().instance == 1 && whole.head().run == 2, "the head is loaded");

    const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
    // Places of the head are not guarded: they are written at once.
    constexpr std::uint64_t first_place = 4096;
    const std::uint64_t end = need(file_size(fd.get(), path));
    if (end <= first_place) return;
    const std::uint64_t at = first_place + input.upto(end - first_place - 1);
    const std::string_view garbage = input.take(input.byte());
    require(::pwrite(fd.get(), garbage.data(), garbage.size(), static_cast<off_t>(at)) ==
                static_cast<ssize_t>(garbage.size()),
            "the file can be written");
    if (input.flag()) require(::ftruncate(fd.get(), static_cast<off_t>(at)) == 0, "and cut");
    const auto loaded = need(Checkpoint::load(scratch().path()));
    const LineSplitter::State& state = loaded.state(Source::stdout_);
    const bool known = std::any_of(saved.begin(), saved.end(),
                                   [&](const auto& item) { return same(item, state); });
    require(known, "damage makes nothing up");
    go_on(state);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input input(data, size);
    scratch().clear();
    const std::string path = scratch() / "checkpoint";
    if (input.flag()) {
        damage(input, path);
        return 0;
    }
    const std::string_view prefix =
        input.flag() ? std::string_view("TWCKPT01") : std::string_view();
    put_file(path, std::string(prefix) + std::string(input.rest()));
    const auto loaded = Checkpoint::load(scratch().path());
    if (!loaded) return 0;
    for (const Source source : {Source::stdout_, Source::stderr_}) go_on(loaded->state(source));
    return 0;
}
