// A log that a crash or somebody else left behind, of any content and format: opening it for
// writing keeps every entry that stands before the damage, and what is appended then is read back
// behind them.
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "format/docker_local.h"
#include "fuzz.h"
#include "read/log_reader.h"
#include "store/log_file_writer.h"

using namespace twinlog;
using namespace twinlog::fuzz;

namespace {

// Whole entries from the beginning, as bytes.
std::string good_beginning(std::string_view content) {
    std::size_t good = 0;
    for (;;) {
        const Frame frame = docker_local::decode(content.substr(good));
        if (frame.state != FrameState::whole) return std::string(content.substr(0, good));
        good += frame.size;
    }
}

std::string contents_of(const std::string& path) {
    auto text = read_file(path, 1U << 24U);
    return text ? *text : std::string();
}

std::string existing(Input& input) {
    std::string content;
    for (int pieces = input.byte() % 8; pieces > 0; --pieces) {
        const std::string line(input.take(input.byte() % 64));
        docker_local::append(Entry{.source = input.flag() ? Source::stderr_ : Source::stdout_,
                                   .time_ns = 1,
                                   .line = line,
                                   .partial = {},
                                   .run = input.byte() % 3U,
                                   .position = input.byte(),
                                   .writer = {},
                                   .gap = {}},
                             content);
    }
    content.resize(input.upto(content.size() + 64));
    content += input.take(input.upto(0xffff));
    return content;
}

void append_some(LogFileWriter& writer, Input& input, std::vector<std::string>& lines) {
    for (int i = 0; i < 3; ++i) {
        lines.push_back("line " + std::to_string(lines.size()) + std::string(input.byte(), '.'));
        writer.append(Entry{.source = Source::stdout_,
                            .time_ns = 1'000'000'000,
                            .line = lines.back(),
                            .partial = {},
                            .run = 9,
                            .position = lines.size(),
                            .writer = {},
                            .gap = {}});
    }
    need(writer.flush());
}

// The last lines that can be read of a container's log.
std::vector<std::string> tail(std::size_t count) {
    LogReader reader = need(LogReader::open(scratch().path(), {.tail = count}));
    std::vector<std::string> lines;
    for (;;) {
        const LogReader::Step step = need(reader.next());
        if (step == LogReader::Step::end) return lines;
        if (step == LogReader::Step::entry) lines.emplace_back(reader.entry().line);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input input(data, size);
    scratch().clear();
    const auto all = formats();
    const std::uint8_t choice = input.byte();
    const LogFormat& format = choice < 0x80 ? *all[0] : *all[choice % all.size()];
    const bool local = &format == &docker_local::format();
    const int max_file = 1 + input.byte() % 3;
    const std::string path = scratch() / "container-cached.log";
    const std::string content =
        local ? existing(input) : std::string(input.take(input.upto(0xffff)));
    put_file(path, content);

    std::vector<std::string> lines;
    std::string kept;
    for (int round = 0; round < 2; ++round) {
        auto writer = need(LogFileWriter::open(
            real_file_system(),
            {.path = path, .max_size = 0, .max_file = max_file, .format = format}));
        const std::string now = contents_of(path);
        const Recovery& recovery = writer->recovery();
        (void)recovery.describe();
        if (round == 0) {
            require(recovery.gave_up_file ? now.empty() : content.starts_with(now),
                    "nothing is made up");
            require(recovery.gave_up_file || recovery.cut_bytes == content.size() - now.size(),
                    "what is cut is told");
            if (recovery.gave_up_file) {
                require(contents_of(path + ".1") == content, "a file that is given up is kept");
            } else if (local) {
                require(now == good_beginning(content), "whole entries are kept");
            }
        } else {
            require(recovery.cut_bytes == 0 && !recovery.gave_up_file, "what was written is good");
            require(now == kept, "what was written is kept");
            if (local) require(recovery.last_run == 9, "the last run is known");
        }
        append_some(*writer, input, lines);
        kept = contents_of(path);
        require(kept.starts_with(now), "entries are appended");
    }
    if (local) require(tail(lines.size()) == lines, "what was appended is read back");
    return 0;
}
