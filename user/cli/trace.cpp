// twinlog trace: what a container or process writes, live; nothing is stored.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/escape.h"
#include "base/signals.h"
#include "base/unique_fd.h"
#include "capture/capture.h"
#include "cli/command.h"
#include "cli/logs_printer.h"
#include "cli/raw_option.h"
#include "cli/writer_option.h"
#include "container/process.h"
#include "container/registry.h"
#include "daemon/selection.h"
#include "daemon/start.h"
#include "daemon/stream_recorder.h"
#include "read/line_filter.h"
#include "read/line_joiner.h"
#include "stream/entry_merger.h"

namespace twinlog {

namespace {

struct Arguments {
    std::optional<std::uint32_t> pid;
    std::string container;
    std::vector<std::string> command;
    bool timestamps = false;
    bool raw = false;
    WriterOption writer;
};

// Whether the file is our own stdout or stderr: what we print would be traced again, for ever.
bool is_ours(const tw_file& file) {
    for (const int fd : {STDOUT_FILENO, STDERR_FILENO}) {
        struct stat own {};
        if (::fstat(fd, &own) != 0) continue;
        const auto device =
            static_cast<std::uint64_t>(major(own.st_dev)) << 20U | minor(own.st_dev);
        if (own.st_ino == file.ino && device == file.dev) return true;
    }
    return false;
}

// One traced stream. Bytes go straight on, unless something is to stand before each line.
class TracedStream : public StreamSink {
 public:
    TracedStream(const tw_file& file, Source source, EntryMerger& merger, bool by_line)
        : file_(file),
          source_(source),
          entries_(merger.input(source)),
          assembler_(make_assembler(file, false, *this)) {
        merger.watch(source, *assembler_);
        if (by_line) splitter_.emplace(entries_, source, 0);
    }

    [[nodiscard]] const tw_file& file() const { return file_; }
    Assembler& assembler() { return *assembler_; }

    void end(const StreamEnds& ends, const StreamEnds& looked) {
        assembler_->end(ends, looked);
        if (splitter_) splitter_->end();
    }

    void on_bytes(std::uint64_t position, std::string_view bytes, const Origin& origin) override {
        if (splitter_) {
            splitter_->bytes(position, bytes, wall_time(origin.time), origin.writer);
        } else {
            entries_.on_entry(Entry{.source = source_,
                                    .time_ns = wall_time(origin.time),
                                    .line = bytes,
                                    .position = position});
        }
    }

    void on_gap(std::uint64_t position, std::uint64_t length, GapReason reason,
                std::uint64_t time) override {
        const Gap gap{length, reason};
        if (splitter_) {
            splitter_->gap(position, gap, wall_time(time));
        } else {
            entries_.on_entry(Entry{
                .source = source_, .time_ns = wall_time(time), .position = position, .gap = gap});
        }
    }

 private:
    tw_file file_;
    Source source_;
    EntrySink& entries_;
    std::optional<LineSplitter> splitter_;
    std::unique_ptr<Assembler> assembler_;
};

// Finds the run that is asked for, prints its streams, knows when it has ended.
class Tracer : public CaptureSink, private EntrySink {
 public:
    // writer: only that one's lines.
    Tracer(Capture& capture, Selection selection, LogsPrinter& printer, bool by_line,
           std::optional<WriterFilter> writer)
        : capture_(capture),
          selection_(std::move(selection)),
          printer_(printer),
          by_line_(by_line) {
        filter_.writer = std::move(writer);
    }

    void on_start(const tw_start& start) override {
        const auto info = registry_.describe(start_facts(start));
        if (!info || run_ || !selection_.wants(start, *info)) {
            for (const tw_file& file : start.files) capture_.release(file);
            return;
        }
        run_ = start.run;
        for (const Source source : {Source::stdout_, Source::stderr_}) {
            const auto index = static_cast<std::size_t>(source);
            const tw_file& file = start.files[index];
            if (file.slot == TW_NO_SLOT || find(file.slot) != nullptr) continue;
            if (is_ours(file)) {
                ours_ = true;
                continue;
            }
            streams_[index] = std::make_unique<TracedStream>(file, source, merger_, by_line_);
        }
    }

    void on_data(const tw_data& record, std::string_view captured) override {
        if (auto* stream = find(record.slot)) assemble(stream->assembler(), record, captured);
    }

    // There is no spill without a store.
    void on_skipped(std::uint32_t, std::uint64_t, const StreamEnds&) override {}
    void on_settled(std::uint32_t slot, std::uint64_t, const StreamEnds& ends) override {
        if (auto* stream = find(slot)) stream->assembler().settle(ends);
    }

    void tick(std::uint64_t now) {
        for (const auto& stream : streams_) {
            if (stream) stream->assembler().tick(now);
        }
        merger_.release(now);
    }

    [[nodiscard]] bool is_stuck(std::uint64_t now) const {
        return std::any_of(streams_.begin(), streams_.end(), [now](const auto& stream) {
            return stream && stream->assembler().is_stuck(now);
        });
    }

    void look(const StreamsLook& look) {
        for (const auto& stream : streams_) {
            if (stream) stream->assembler().look(look.ends_of(stream->file()), look.at);
        }
    }

    void on_end(const tw_end& end) override {
        if (run_ && end.run == *run_) ended_at_ = end.time;
    }

    // The unterminated rest, and gaps at the end.
    void finish(const StreamsLook& look) {
        for (const auto& stream : streams_) {
            if (!stream) continue;
            stream->end(capture_.ends(stream->file().slot), look.ends_of(stream->file()));
        }
        merger_.flush();
        print_wanted(joiner_.finish());
    }

    [[nodiscard]] bool found() const { return run_.has_value(); }
    // It writes to the file that we print to.
    [[nodiscard]] bool ours() const { return ours_; }
    [[nodiscard]] bool ended() const { return ended_at_.has_value(); }
    // A process has ended; or a container has, and all that its processes had open is closed.
    [[nodiscard]] bool nobody_writes() const;
    [[nodiscard]] bool has_streams() const { return streams_[0] || streams_[1]; }

 private:
    // Whose a line is stands with its last piece, so what is filtered is put together before.
    void on_entry(const Entry& entry) override {
        if (filter_.looks_at_lines()) {
            print_wanted(joiner_.add(entry));
        } else if (!by_line_ && !entry.gap) {
            printer_.print_bytes(entry.source, entry.line);
        } else {
            printer_.print(entry);
        }
    }

    void print_wanted(std::span<const Line> lines) {
        if (joiner_.has_cut() && !std::exchange(told_of_cut_, true)) {
            report(cut_line_notice(selection_.containers.empty() ? "" : selection_.containers[0]));
        }
        for (const Line& line : lines) {
            if (line.entry.gap || filter_.matches(line.entry)) printer_.print(line);
        }
    }

    TracedStream* find(std::uint32_t slot) {
        for (const auto& stream : streams_) {
            if (stream && stream->file().slot == slot) return stream.get();
        }
        return nullptr;
    }

    Capture& capture_;
    Registry registry_ = Registry::of_host();
    Selection selection_;
    LogsPrinter& printer_;
    bool by_line_;
    LineFilter filter_;
    LineJoiner joiner_;
    // Each stream's reader is emptied by itself: one may be ahead of the other.
    EntryMerger merger_{*this};
    std::array<std::unique_ptr<TracedStream>, 2> streams_;
    std::optional<std::uint64_t> run_;
    std::optional<std::uint64_t> ended_at_;  // CLOCK_BOOTTIME, ns
    bool ours_ = false;
    bool told_of_cut_ = false;
};

bool Tracer::nobody_writes() const {
    if (!ended_at_) return false;
    if (!selection_.pids.empty() || boot_time_now() - *ended_at_ > linger_ns) return true;
    const auto look = capture_.look();
    if (!look) return true;
    return std::none_of(streams_.begin(), streams_.end(), [&look](const auto& stream) {
        return stream && look->held(stream->file(), TW_HOLDS_TO_WRITE);
    });
}

// A command that waits, with pipes for stdout and stderr, until it is traced; then the pipes are
// emptied by threads, so that it never blocks. What is printed comes from the capture.
class Child {
 public:
    static Result<std::unique_ptr<Child>> fork_waiting(const std::vector<std::string>& command);
    ~Child();
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;

    [[nodiscard]] std::uint32_t pid() const { return static_cast<std::uint32_t>(pid_); }
    // Lets it exec.
    void go() { gate_.reset(); }
    // Waits for it; its exit code, or 128 + the signal that ended it.
    int reap();

 private:
    Child(pid_t pid, UniqueFd gate, std::array<UniqueFd, 2> outputs);

    pid_t pid_;
    UniqueFd gate_;  // the child waits until this end is closed
    std::array<UniqueFd, 2> outputs_;
    std::array<std::jthread, 2> drains_;
    std::optional<int> status_;
};

struct Pipe {
    UniqueFd read_end;
    UniqueFd write_end;

    static Result<Pipe> make() {
        std::array<int, 2> fds{};
        if (::pipe2(fds.data(), O_CLOEXEC) != 0) return fail_errno("pipe", "making one");
        return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
    }
};

// Waits until nobody holds the other end of the pipe; nothing is ever written to it.
void await_end(int fd) {
    char byte = 0;
    while (::read(fd, &byte, 1) < 0 && errno == EINTR) {
    }
}

void drain_until_end(int fd) {
    std::array<char, 65536> discarded;
    for (;;) {
        const ssize_t got = ::read(fd, discarded.data(), discarded.size());
        if (got == 0 || (got < 0 && errno != EINTR)) return;
    }
}

Child::Child(pid_t pid, UniqueFd gate, std::array<UniqueFd, 2> outputs)
    : pid_(pid), gate_(std::move(gate)), outputs_(std::move(outputs)) {
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
        drains_[i] = std::jthread(drain_until_end, outputs_[i].get());
    }
}

Result<std::unique_ptr<Child>> Child::fork_waiting(const std::vector<std::string>& command) {
    auto gate = Pipe::make();
    auto ready = Pipe::make();
    auto out = Pipe::make();
    auto err = Pipe::make();
    for (auto* made : {&gate, &ready, &out, &err}) {
        if (!*made) return pass_on(std::move(*made));
    }
    std::vector<char*> arguments;
    arguments.reserve(command.size() + 1);
    for (const std::string& argument : command) {
        arguments.push_back(const_cast<char*>(argument.c_str()));
    }
    arguments.push_back(nullptr);
    const pid_t pid = ::fork();
    if (pid < 0) return fail_errno(command.front(), "starting it");
    if (pid == 0) {
        ::dup2(out->write_end.get(), STDOUT_FILENO);
        ::dup2(err->write_end.get(), STDERR_FILENO);
        gate->write_end.reset();
        ready->write_end.reset();
        await_end(gate->read_end.get());
        StopSignals::unblock();
        ::execvp(arguments.front(), arguments.data());
        // As shells do; the message goes the way of all output.
        const std::string message =
            "twinlog: " + command.front() + ": " + std::strerror(errno) + "\n";
        const int code = errno == ENOENT ? 127 : 126;
        if (::write(STDERR_FILENO, message.data(), message.size()) < 0) ::_exit(code);
        ::_exit(code);
    }
    // Its stdout and stderr must be in place before they are looked at.
    ready->write_end.reset();
    await_end(ready->read_end.get());
    return std::unique_ptr<Child>(new Child(pid, std::move(gate->write_end),
                                            {std::move(out->read_end), std::move(err->read_end)}));
}

int Child::reap() {
    if (!status_) {
        int status = 0;
        while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
        }
        status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    return *status_;
}

Child::~Child() {
    if (!status_) {
        ::kill(pid_, SIGTERM);
        go();
        reap();
    }
    // A descendant may hold the pipes for long: whoever writes on gets SIGPIPE, as after `cmd |
    // head`.
    for (auto& drain : drains_) drain.detach();
    for (auto& output : outputs_) static_cast<void>(output.release());
}

// All that was recorded before the call; one pass may be under way.
void drain_rest(Capture& capture, Tracer& tracer) {
    for (int pass = 0; pass < 2; ++pass) {
        while (!capture.drain(tracer)) capture.commit();
        capture.commit();
    }
}

// Drains until the traced process has ended or somebody wants an end.
Status follow(Capture& capture, Tracer& tracer, LogsPrinter& printer, const StopSignals& signals) {
    for (;;) {
        update_wall_clock();
        const bool complete = capture.drain(tracer);
        capture.commit();
        const std::uint64_t now = boot_time_now();
        tracer.tick(now);
        if (tracer.is_stuck(now)) {
            auto look = capture.look();
            if (!look) return pass_on(std::move(look));
            drain_rest(capture, tracer);
            tracer.look(*look);
        }
        if (auto flushed = printer.flush(); !flushed) return flushed;
        if (!complete) continue;
        if (tracer.nobody_writes()) return {};
        auto stop = capture.wait(signals.fd(), std::chrono::milliseconds(100));
        if (!stop) return pass_on(std::move(stop));
        if (*stop) return {};
    }
}

Result<int> trace(const Arguments& arguments) {
    auto signals = StopSignals::block();
    if (!signals) return pass_on(std::move(signals));
    std::optional<std::uint32_t> pid = arguments.pid;
    if (pid) {
        if (auto process = ProcFs().stat(*pid); !process) return pass_on(std::move(process));
    }
    // The other backend would make a daemon's programs on the same functions miss a call.
    auto capture =
        Capture::load(CaptureOptions{.new_containers = false, .backend = Backend::tracepoint});
    if (!capture) return pass_on(std::move(capture));

    std::unique_ptr<Child> child;
    if (!arguments.command.empty()) {
        auto started = Child::fork_waiting(arguments.command);
        if (!started) return pass_on(std::move(started));
        child = std::move(*started);
        pid = child->pid();
    }
    Selection selection;
    if (pid) {
        selection.pids.push_back(*pid);
    } else {
        selection.containers.push_back(arguments.container);
    }
    LogsPrinter printer(PrintOptions{.timestamps = arguments.timestamps,
                                     .writer = arguments.writer.shown(),
                                     .subject = pid ? "" : arguments.container,
                                     .style = output_styles(arguments.raw)});
    Tracer tracer(**capture, std::move(selection), printer,
                  arguments.timestamps || arguments.writer.shown(), arguments.writer.filter());
    if (auto attached = (*capture)->attach(); !attached) return pass_on(std::move(attached));
    auto seeded = pid ? (*capture)->seed_pid(*pid) : (*capture)->seed();
    if (!seeded) return pass_on(std::move(seeded));
    drain_rest(**capture, tracer);
    if (!tracer.found()) {
        return pid ? fail("pid " + std::to_string(*pid), "it ended before it could be traced")
                   : fail("No such container: " + arguments.container,
                          "none that runs has this name or id", "twinlog ps");
    }
    if (tracer.ours()) {
        return fail(pid ? "pid " + std::to_string(*pid) : arguments.container,
                    "it writes to the same file that this command prints to",
                    "send the output elsewhere, for example through a pipe");
    }
    if (!tracer.has_streams()) {
        return fail(pid ? "pid " + std::to_string(*pid) : arguments.container,
                    "its stdout and stderr are closed or /dev/null: there is nothing to trace");
    }
    if (child) child->go();
    auto followed = follow(**capture, tracer, printer, *signals);
    auto last_look = (*capture)->look();
    drain_rest(**capture, tracer);
    tracer.finish(last_look ? *last_look : StreamsLook{});
    printer.finish();
    if (auto flushed = printer.flush(); followed && !flushed) followed = flushed;
    if (!followed) return pass_on(std::move(followed));
    return child && tracer.ended() ? child->reap() : exit_ok;
}

}  // namespace

void register_trace(CLI::App& app, Action& chosen) {
    auto arguments = std::make_shared<Arguments>();
    CLI::App* command =
        app.add_subcommand("trace", "Prints what a container or process writes, live");
    auto* pid = command->add_option("--pid", arguments->pid, "This process's stdout and stderr")
                    ->type_name("PID");
    auto* container =
        command->add_option("--container", arguments->container, "Name, id or id prefix")
            ->type_name("CONTAINER");
    auto* program = command
                        ->add_option("COMMAND", arguments->command,
                                     "Run this command and trace it; put it after --")
                        ->type_name("");
    pid->excludes(container)->excludes(program);
    container->excludes(program);
    command->add_flag("-t,--timestamps", arguments->timestamps, "The time before each line");
    add_writer_option(*command, arguments->writer);
    add_raw_option(*command, arguments->raw);
    command->callback([&chosen, arguments] {
        if (!arguments->pid && arguments->container.empty() && arguments->command.empty()) {
            throw CLI::RequiredError("--pid, --container or a command after --");
        }
        chosen = [arguments] {
            auto traced = trace(*arguments);
            return traced ? *traced : report(traced.error());
        };
    });
}

}  // namespace twinlog
