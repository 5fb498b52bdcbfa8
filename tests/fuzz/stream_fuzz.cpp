// A container's two streams as a kernel that keeps its word records them: the fuzzer decides who
// writes and reads how much, what of it is captured, in which order it is told, and when the daemon
// looks, commits, or is killed and followed by another one. Whatever that is, each byte comes out
// once, in order, as what was written or as a gap.
#include <array>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "daemon/stream_recorder.h"
#include "fuzz.h"
#include "stream/entry_merger.h"

using namespace twinlog;
using namespace twinlog::fuzz;

namespace {

// Less than the assembler of a pipe takes for a proof that nobody reads.
constexpr std::uint64_t most_bytes = 3U << 20U;
constexpr std::size_t most_unfinished = 15;
constexpr unsigned largest_bits = 16;
constexpr std::uint32_t head_size = TW_WRITE_HEAD;

// What streams consist of: a byte is told by its position, in some of them but by chance.
std::string_view content(unsigned kind) {
    static const std::array<std::string, 4> all = [] {
        std::array<std::string, 4> texts;
        std::mt19937 engine(1);
        for (std::string& text : texts) text.resize(most_bytes + (1U << 20U));
        for (char& byte : texts[0]) byte = static_cast<char>(engine());
        for (char& byte : texts[1]) byte = engine() % 60 == 0 ? '\n' : static_cast<char>(engine());
        for (char& byte : texts[2]) byte = engine() % 50 == 0 ? '\n' : 'a';
        for (char& byte : texts[3]) byte = "ab"[engine() % 2];
        return texts;
    }();
    return all[kind % all.size()];
}

// Some bytes of it say which ones they are.
bool tells(unsigned kind) {
    return kind % 4 < 2;
}

struct Range {
    std::uint64_t begin;
    std::uint64_t end;

    [[nodiscard]] bool meets(const Range& other) const {
        return begin < other.end && other.begin < end;
    }
};

// What may be taken for granted of a stream, by what happens to it.
struct Truth {
    std::string_view text;
    bool exact = true;            // bytes that come out are those of their position
    bool writes_are_safe = true;  // what a write brought is never a gap
    std::vector<Range> read;      // captured at the reader's side
    std::vector<Range> written;   // and at the writer's
};

class CheckedRecorder : public StreamRecorder {
 public:
    CheckedRecorder(const tw_file& file, bool from_start, Source source, EntrySink& entries,
                    StreamCounters& counters, const Truth& truth)
        : StreamRecorder(file, from_start, source, 1, entries, counters), truth_(truth) {}

    void on_bytes(std::uint64_t position, std::string_view bytes, const Origin& origin) override {
        take(position, bytes.size());
        require(!truth_.exact || truth_.text.substr(position, bytes.size()) == bytes,
                "bytes are those of their position");
        StreamRecorder::on_bytes(position, bytes, origin);
    }
    void on_gap(std::uint64_t position, std::uint64_t length, GapReason reason,
                std::uint64_t time) override {
        take(position, length);
        const Range gap{position, position + length};
        for (const Range& range : truth_.read) require(!range.meets(gap), "what was read is there");
        if (truth_.writes_are_safe) {
            for (const Range& range : truth_.written) {
                require(!range.meets(gap), "what was written is there");
            }
        }
        StreamRecorder::on_gap(position, length, reason, time);
    }
    void go_on(std::uint64_t in_log, std::uint64_t done, const LineSplitter::State& begun) {
        resume(in_log, done, begun);
        next_ = assembler().next();
    }

 private:
    void take(std::uint64_t position, std::uint64_t length) {
        require(position == next_, "positions come in order");
        require(length > 0 && length <= most_bytes, "there is something of a possible size");
        next_ += length;
    }

    const Truth& truth_;
    std::uint64_t next_ = 0;
};

// What the log holds, checked as it is written.
class Log : public EntrySink {
 public:
    explicit Log(const std::array<Truth, 2>& truths) : truths_(truths) {}
    void on_entry(const Entry& entry) override {
        const auto index = static_cast<std::size_t>(entry.source);
        const Truth& truth = truths_[index];
        std::uint64_t& next = next_[index];
        require(entry.position == next, "entries follow each other");
        const std::uint64_t bytes = stream_bytes(entry);
        next += bytes;
        if (entry.gap || !truth.exact) return;
        require(truth.text.substr(entry.position, entry.line.size()) == entry.line,
                "a line is what was written there");
        require(bytes == entry.line.size() || truth.text[next - 1] == '\n',
                "lines end at newlines");
        require(entry.line.find('\n') == std::string_view::npos, "a line has no newline in it");
    }
    [[nodiscard]] std::uint64_t next(Source source) const {
        return next_[static_cast<std::size_t>(source)];
    }

 private:
    const std::array<Truth, 2>& truths_;
    std::array<std::uint64_t, 2> next_{};
};

struct Record {
    tw_data head{};
    std::string_view captured;
    bool lost = false;
    std::uint64_t content = 0;  // where its bytes stand in the stream
};

// The kernel's side of one stream.
class Stream {
 public:
    Stream(Input& input, Source source, Truth& truth) : source_(source), truth_(truth) {
        constexpr std::array<std::uint8_t, 4> kinds{TW_KIND_PIPE, TW_KIND_PIPE, TW_KIND_PTY,
                                                    TW_KIND_FILE};
        file_.kind = kinds[input.byte() % kinds.size()];
        const std::uint8_t flags = input.byte();
        const unsigned kind = input.byte();
        truth_.text = content(kind);
        lossy_writes_ = (flags & 1U) != 0;
        lossy_reads_ = (flags & 2U) != 0;
        heads_ = (flags & 4U) != 0;
        swaps_ = (flags & 8U) != 0 && is_pipe();
        found_ = (flags & 16U) != 0 && is_pipe();
        to_its_end_ = (flags & 32U) == 0;
        if (found_) {
            pipe_end_ = input.size(16);
            file_.unread = pipe_end_ + ((flags & 64U) != 0 ? input.size(10) : 0);
            written_ = file_.unread;
        }
        if (is_pipe() && (swaps_ || found_)) {
            truth_.writes_are_safe = false;
            truth_.exact = !lossy_reads_ && (to_its_end_ || !swaps_);
            // Where a pipe was found, its ends' counts are brought together by what the bytes are:
            // of those that are all alike, what is left in it may be taken for its neighbours.
            alike_ = found_ && !tells(kind);
            if (alike_ && !to_its_end_) truth_.exact = false;
        }
        // Counts of writes and of reads have nothing to do with each other.
        if (is_terminal()) truth_.writes_are_safe = false;
    }

    [[nodiscard]] bool is_pipe() const { return file_.kind == TW_KIND_PIPE; }
    [[nodiscard]] bool is_terminal() const { return file_.kind == TW_KIND_PTY; }
    [[nodiscard]] const tw_file& file() const { return file_; }
    [[nodiscard]] Source source() const { return source_; }
    [[nodiscard]] bool starts_here() const { return !found_; }
    CheckedRecorder& recorder() { return *recorder_; }

    void begin(Input& input, std::uint64_t now) {
        if (unfinished_.size() >= most_unfinished) finish(0, now);
        Record write;
        const std::uint64_t end = std::max(pipe_end_, written_);
        const std::uint64_t length =
            std::min(input.size(largest_bits), most_bytes - std::min(end, most_bytes));
        if (length == 0) return;
        write.head.type = TW_DATA;
        write.head.length = static_cast<std::uint32_t>(length);
        write.head.pid = write.head.tid = write.head.ns_pid = ++pids_;
        std::snprintf(write.head.comm, sizeof(write.head.comm), "writer %u", pids_);
        write.content = pipe_end_;
        capture(write, input, lossy_writes_);
        if (heads_ && write.captured.size() > head_size) {
            write.captured = write.captured.substr(0, head_size);
            write.head.reason = TW_REASON_UNREAD;
        }
        pipe_end_ += length;
        unfinished_.push_back(write);
    }
    // A write returns: only now it is counted.
    void finish(std::size_t index, std::uint64_t now) {
        if (unfinished_.empty()) return;
        if (!swaps_) index = 0;
        const auto chosen =
            unfinished_.begin() + static_cast<std::ptrdiff_t>(index % unfinished_.size());
        Record write = *chosen;
        unfinished_.erase(chosen);
        write.head.position = written_;
        written_ += write.head.length;
        write.head.time = now;
        if (!write.lost) pending_.push_back(write);
    }
    void read(Input& input, std::uint64_t now) {
        if (file_.kind == TW_KIND_FILE) return;
        const std::uint64_t there = (is_pipe() ? pipe_end_ : most_bytes) - read_;
        take_out(std::min(there, input.size(largest_bits)), input, now);
    }

    void deliver(std::size_t index) {
        if (pending_.empty()) return;
        const auto chosen = pending_.begin() + static_cast<std::ptrdiff_t>(index % pending_.size());
        const Record record = *chosen;
        pending_.erase(chosen);
        told_.push_back(record);
        const Range range{record.content, record.content + record.captured.size()};
        delivered_bytes_ += record.captured.size();
        (record.head.type == TW_READ ? truth_.read : truth_.written).push_back(range);
        tell(record);
    }
    void deliver_all() {
        while (!pending_.empty()) deliver(0);
    }

    // wholly: as far as it is true.
    void settle(bool wholly, Input& input) {
        StreamEnds most = ends();
        for (const Record& record : pending_) {
            std::uint64_t& end = record.head.type == TW_READ ? most.read : most.written;
            end = std::min(end, record.head.position);
        }
        most.written = std::max(most.written, settled_.written);
        most.read = std::max(most.read, settled_.read);
        if (!wholly) {
            most.written = settled_.written + input.upto(most.written - settled_.written);
            most.read = settled_.read + input.upto(most.read - settled_.read);
        }
        settled_ = most;
        recorder_->settle(most);
        check_memory();
    }
    // Somebody looks into the pipe; nobody is at work in it.
    void look(Input& input, std::uint64_t now) {
        while (!unfinished_.empty()) finish(0, now);
        deliver_all();
        if (input.flag()) settle(true, input);
        StreamEnds seen = ends();
        if (input.byte() % 8 == 0) seen.unread.reset();
        // Bytes of writes that swapped places come out where they were counted.
        if (swaps_ || alike_) truth_.exact = false;
        recorder_->assembler().look(seen, now);
        check_memory();
    }
    void tick(std::uint64_t now) { recorder_->assembler().tick(now); }

    // All that was told is in the log or in the pipe.
    void commit() {
        done_ = recorder_->assembler().next();
        begun_ = recorder_->splitter().in_a_line() ? recorder_->splitter().state()
                                                   : LineSplitter::State{};
        told_.clear();
    }
    void start(EntrySink& entries) {
        counters_ = {};
        recorder_ = std::make_unique<CheckedRecorder>(file_, starts_here(), source_, entries,
                                                      counters_, truth_);
        settled_ = {.written = file_.unread};
    }
    // Another daemon goes on.
    void restart(EntrySink& entries, std::uint64_t in_log) {
        start(entries);
        recorder_->go_on(in_log, done_, begun_);
        if (is_pipe()) truth_.writes_are_safe = false;
    }
    void tell_again() {
        for (const Record& record : told_) tell(record);
    }

    // No more comes. Returns how much must have come out; nothing: that is not known.
    std::optional<std::uint64_t> end(Input& input, std::uint64_t now) {
        while (!unfinished_.empty()) finish(0, now);
        if (is_pipe() && to_its_end_) {
            while (read_ < pipe_end_) {
                const std::uint64_t rest = pipe_end_ - read_;
                take_out(input.empty() ? rest : std::min(rest, input.size(largest_bits) + 1), input,
                         now);
            }
        }
        deliver_all();
        ended_ = true;
        const StreamEnds last = ends();
        // Of a terminal that nobody read its writes come out, one after the other.
        if (is_terminal() && read_ == 0) truth_.exact = false;
        recorder_->settle(last);
        recorder_->end(last);
        require(recorder_->assembler().held_bytes() == 0, "nothing is held at the end");
        require(!recorder_->assembler().holds_last_copy(), "nothing is held back at the end");
        const std::uint64_t out = recorder_->assembler().next();
        if (is_pipe()) require(out == pipe_end_, "all of a pipe came out");
        if (is_terminal() && read_ > 0) require(out == read_, "all of a terminal came out");
        if (is_terminal() && read_ == 0) return std::nullopt;
        if (file_.kind == TW_KIND_FILE) require(out == written_, "all of a file came out");
        return out;
    }

 private:
    void capture(Record& record, Input& input, bool lossy) {
        record.head.captured = record.head.length;
        record.captured = truth_.text.substr(record.content, record.head.length);
        if (!lossy) return;
        switch (input.byte() % 8) {
            case 0:
                record.lost = true;
                break;
            case 1:
                record.captured = record.captured.substr(0, input.size(largest_bits));
                record.head.reason = TW_REASON_FAULT;
                break;
            case 2:
                record.captured = {};
                record.head.reason = TW_REASON_ZERO_COPY;
                break;
            default:
                break;
        }
    }
    void take_out(std::uint64_t length, Input& input, std::uint64_t now) {
        if (length == 0) return;
        Record read;
        read.head.type = TW_READ;
        read.head.length = static_cast<std::uint32_t>(length);
        read.head.position = read.content = read_;
        read.head.time = now;
        capture(read, input, lossy_reads_);
        read_ += length;
        if (!read.lost) pending_.push_back(read);
    }
    void tell(const Record& record) {
        tw_data head = record.head;
        head.captured = static_cast<std::uint32_t>(record.captured.size());
        // Its own memory, so that one who keeps a view of it is found out.
        const std::string captured(record.captured);
        recorder_->record(head, captured);
        check_memory();
    }
    [[nodiscard]] StreamEnds ends() const {
        const bool at_end = is_pipe() && to_its_end_ && ended_ && read_ == pipe_end_;
        return {written_, read_, at_end, pipe_end_ - std::min(pipe_end_, read_)};
    }
    void check_memory() const {
        require(recorder_->assembler().held_bytes() <= delivered_bytes_,
                "no more is held than was told");
    }

    Source source_;
    Truth& truth_;
    tw_file file_{};
    bool lossy_writes_ = false;
    bool lossy_reads_ = false;
    bool heads_ = false;
    bool swaps_ = false;
    bool found_ = false;
    bool alike_ = false;
    bool to_its_end_ = true;
    bool ended_ = false;

    std::uint64_t pipe_end_ = 0;  // bytes that went in
    std::uint64_t written_ = 0;   // the kernel's counts
    std::uint64_t read_ = 0;
    std::uint32_t pids_ = 0;
    std::deque<Record> unfinished_;  // their bytes are in the pipe
    std::deque<Record> pending_;     // in the ring
    std::vector<Record> told_;       // since the last commit
    std::uint64_t delivered_bytes_ = 0;
    StreamEnds settled_;
    std::uint64_t done_ = 0;
    LineSplitter::State begun_;
    StreamCounters counters_;
    std::unique_ptr<CheckedRecorder> recorder_;
};

class Container {
 public:
    explicit Container(Input& input)
        : input_(input),
          log_(truths_),
          streams_{Stream(input, Source::stdout_, truths_[0]),
                   Stream(input, Source::stderr_, truths_[1])} {
        begin();
        for (Stream& stream : streams_) stream.start(merger_->input(stream.source()));
        watch();
    }

    void run() {
        while (!input_.empty()) step();
        for (Stream& stream : streams_) {
            now_ += 1000;
            ends_.push_back(stream.end(input_, now_));
        }
        merger_->flush();
        for (Stream& stream : streams_) {
            const auto& end = ends_[static_cast<std::size_t>(stream.source())];
            require(!end || log_.next(stream.source()) == *end, "all that came out is in the log");
        }
    }

 private:
    void begin() { merger_ = std::make_unique<EntryMerger>(log_); }
    void watch() {
        for (Stream& stream : streams_) {
            merger_->watch(stream.source(), stream.recorder().assembler());
        }
    }

    void step() {
        const std::uint8_t choice = input_.byte();
        Stream& stream = streams_[choice >> 7U];
        now_ += 1000;
        switch (choice & 0xfU) {
            case 0:
            case 1:
            case 2:
                stream.begin(input_, now_);
                stream.finish(0, now_);
                break;
            case 3:
                stream.begin(input_, now_);
                break;
            case 4:
                stream.finish(input_.byte(), now_);
                break;
            case 5:
            case 6:
                stream.read(input_, now_);
                break;
            case 7:
            case 8:
                stream.deliver(0);
                break;
            case 9:
                stream.deliver(input_.byte());
                break;
            case 10:
                stream.settle(true, input_);
                break;
            case 11:
                stream.settle(false, input_);
                break;
            case 12:
                pass_time();
                break;
            case 13:
                stream.look(input_, now_);
                break;
            case 14:
                commit(input_.byte() % 4 == 0);
                break;
            default:
                kill();
                break;
        }
    }
    void pass_time() {
        constexpr std::array<std::uint64_t, 4> spans{1'000'000, 50'000'000, 300'000'000,
                                                     2'000'000'000};
        now_ += spans[input_.byte() % spans.size()];
        for (Stream& stream : streams_) stream.tick(now_);
        merger_->release(now_);
    }
    // As the daemon does it: only when nobody holds the last copy of anything.
    void commit(bool let_go) {
        if (let_go) {
            for (Stream& stream : streams_) stream.tick(~std::uint64_t{0});
            merger_->flush();
        }
        if (merger_->waits()) return;
        for (Stream& stream : streams_) {
            if (stream.recorder().assembler().holds_last_copy()) return;
        }
        for (Stream& stream : streams_) stream.commit();
    }
    void kill() {
        begin();
        for (Stream& stream : streams_) {
            stream.restart(merger_->input(stream.source()), log_.next(stream.source()));
        }
        watch();
        for (Stream& stream : streams_) stream.tell_again();
    }

    Input& input_;
    std::array<Truth, 2> truths_;
    Log log_;
    std::unique_ptr<EntryMerger> merger_;
    std::array<Stream, 2> streams_;
    std::vector<std::optional<std::uint64_t>> ends_;
    std::uint64_t now_ = boot_time_now();
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input input(data, size);
    Container(input).run();
    return 0;
}
