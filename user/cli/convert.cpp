// twinlog convert: one log format into another, streaming.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/byte_size.h"
#include "base/file_system.h"
#include "base/unique_fd.h"
#include "cli/command.h"
#include "format/json_text.h"
#include "format/log_format.h"
#include "store/gzip.h"

namespace twinlog {

namespace {

constexpr std::size_t block_size = std::size_t{256} * 1024;
constexpr mode_t output_mode = 0640;

struct Arguments {
    std::string from;
    std::string to;
    std::string stream;
    std::string input;
    std::string output;
};

// The bytes of a file, decompressed if they are gzip, or of standard input.
class Input {
 public:
    static Result<Input> open(const std::string& path) {
        Input input;
        input.path_ = path == "-" ? "stdin" : path;
        input.fd_.reset(path == "-" ? ::dup(STDIN_FILENO)
                                    : ::open(path.c_str(), O_RDONLY | O_CLOEXEC));
        if (!input.fd_.valid()) return fail_errno(input.path_, "cannot open it");
        if (::fstat(input.fd_.get(), &input.status_) != 0) {
            return fail_errno(input.path_, "cannot look at it");
        }
        if (S_ISDIR(input.status_.st_mode)) return fail(Error{path, "cannot read it", EISDIR, {}});
        // Standard input may be a file, too; one that others have read from goes on where they
        // were.
        const bool at_start =
            S_ISREG(input.status_.st_mode) && ::lseek(input.fd_.get(), 0, SEEK_CUR) == 0;
        if (at_start && read_gzip_header(input.fd_.get())) {
            auto gzip = GzipReader::open(input.fd_.get(), path);
            if (!gzip) return pass_on(std::move(gzip));
            input.gzip_ = std::move(*gzip);
        }
        return input;
    }

    // 0 at the end.
    Result<std::size_t> read(char* to, std::size_t size) {
        if (gzip_) {
            auto got = gzip_->read_at(position_, to, size);
            if (got) position_ += *got;
            return got;
        }
        for (;;) {
            const ssize_t got = ::read(fd_.get(), to, size);
            if (got >= 0) {
                position_ += static_cast<std::uint64_t>(got);
                return static_cast<std::size_t>(got);
            }
            if (errno != EINTR) return fail_errno(path_, "cannot read it");
        }
    }

    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] const struct stat& status() const { return status_; }
    // Bytes that were read, and how many there are, if that is known.
    [[nodiscard]] std::uint64_t position() const { return position_; }
    [[nodiscard]] std::optional<std::uint64_t> size() const {
        if (gzip_ || !S_ISREG(status_.st_mode)) return std::nullopt;
        return static_cast<std::uint64_t>(status_.st_size);
    }
    [[nodiscard]] bool is_torn() const { return gzip_ && gzip_->damaged_at(); }

 private:
    std::string path_;
    UniqueFd fd_;
    struct stat status_ {};
    std::unique_ptr<GzipReader> gzip_;
    std::uint64_t position_ = 0;
};

class Output {
 public:
    static Result<Output> open(const std::string& path, const Input& input) {
        Output output;
        output.path_ = path == "-" ? "stdout" : path;
        // Emptied only when it is sure that it is not what is read.
        output.fd_.reset(path == "-"
                             ? ::dup(STDOUT_FILENO)
                             : ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, output_mode));
        if (!output.fd_.valid()) return fail_errno(output.path_, "cannot make it");
        if (path == "-") return output;
        struct stat status {};
        if (::fstat(output.fd_.get(), &status) != 0) return fail_errno(path, "cannot look at it");
        if (status.st_dev == input.status().st_dev && status.st_ino == input.status().st_ino) {
            return fail(path, "this is the file that is read", "write to another one");
        }
        if (S_ISREG(status.st_mode) && ::ftruncate(output.fd_.get(), 0) != 0) {
            return fail_errno(path, "cannot empty it");
        }
        return output;
    }

    std::string& buffer() { return buffer_; }
    Status flush() {
        Status written = write_all(fd_.get(), buffer_, path_);
        if (written) buffer_.clear();
        return written;
    }

 private:
    std::string path_;
    UniqueFd fd_;
    std::string buffer_;
};

// How far it is, on one line of a terminal.
class Progress {
 public:
    Progress() : shown_(::isatty(STDERR_FILENO) == 1) {}
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;
    Progress(Progress&&) = delete;
    Progress& operator=(Progress&&) = delete;
    ~Progress() {
        if (drawn_) std::fputs("\r\033[K", stderr);
    }

    void show(const Input& input) {
        const auto now = std::chrono::steady_clock::now();
        constexpr auto interval = std::chrono::milliseconds(100);
        if (!shown_ || now - last_ < interval) return;
        last_ = now;
        constexpr std::size_t width = 40;
        std::string line = "\r";
        if (const auto size = input.size(); size && *size > 0) {
            const std::uint64_t done = std::min(input.position(), *size);
            const auto filled = static_cast<std::size_t>(done * width / *size);
            line += "[" + std::string(filled, '#') + std::string(width - filled, '.') + "] " +
                    std::to_string(done * 100 / *size) + "% ";
        }
        line += format_size(input.position()) + "\033[K";
        std::fputs(line.c_str(), stderr);
        drawn_ = true;
    }

 private:
    bool shown_;
    bool drawn_ = false;
    std::chrono::steady_clock::time_point last_;
};

// What the other format could not hold, or was not told.
struct Losses {
    std::uint64_t not_utf8 = 0;
    std::uint64_t newlines = 0;
    std::uint64_t facts = 0;
    std::uint64_t partials = 0;
    std::uint64_t made_up = 0;  // ids of pieces
    std::uint64_t gaps = 0;
    std::uint64_t attributes = 0;
    std::uint64_t times = 0;
    std::uint64_t unknown = 0;
    std::uint64_t damaged = 0;  // bytes

    void count(const Entry& entry, const Keeps& from, const Keeps& to) {
        if (!to.any_bytes && !is_utf8(entry.line)) ++not_utf8;
        if (!to.newlines && entry.line.find('\n') != std::string_view::npos) ++newlines;
        if (!to.facts && (entry.writer || entry.run != 0 || entry.position != 0)) ++facts;
        if (entry.partial && from.partials && !to.partials) ++partials;
        if (entry.partial && !from.partials && to.partials) ++made_up;
        if (entry.gap && !to.gaps) ++gaps;
        if (!entry.attributes.empty() && !to.attributes) ++attributes;
        if (from.times != to.times) ++times;
    }

    [[nodiscard]] std::string describe(const Keeps& from) const {
        std::string text;
        const auto add = [&text](std::uint64_t count, std::string_view what) {
            if (count == 0) return;
            if (!text.empty()) text += "; ";
            text += format_grouped(count);
            text += what;
        };
        add(not_utf8, " entries are not UTF-8: such bytes became U+FFFD");
        add(newlines, " entries hold newlines: each of their lines became an entry");
        add(times,
            from.times ? " times are dropped" : " entries got the time of the file's last change");
        add(facts, " entries lose their writer and position");
        add(partials, " pieces of cut lines lose their ids");
        add(made_up, " pieces of cut lines got ids that are made up");
        add(gaps, " gaps are dropped");
        add(attributes, " entries lose their attributes");
        add(unknown, " entries of unknown sources are dropped");
        return text;
    }
};

class Converter {
 public:
    Converter(const LogFormat& from, const LogFormat& to, Input input)
        : from_(from), to_(to), input_(std::move(input)) {}

    Status open(const Arguments& arguments) {
        if (!arguments.stream.empty()) {
            stream_ = arguments.stream == "stderr" ? Source::stderr_ : Source::stdout_;
        }
        const bool both = one_stream(to_) && !stream_;
        if (both && arguments.output == "-") {
            return fail("--to " + arguments.to, "this format has a file for each stream",
                        "choose one with --stream");
        }
        for (const std::string_view suffix : {".stdout", ".stderr"}) {
            auto output = Output::open(
                both ? arguments.output + std::string(suffix) : arguments.output, input_);
            if (!output) return pass_on(std::move(output));
            outputs_.push_back(std::move(*output));
            encoders_.push_back(to_.encoder());
            if (!both) break;
        }
        return {};
    }

    Status run() {
        const struct timespec& changed = input_.status().st_mtim;
        const auto decoder =
            from_.decoder({.source = stream_.value_or(Source::stdout_),
                           .time_ns = static_cast<std::int64_t>(changed.tv_sec) * 1'000'000'000 +
                                      changed.tv_nsec});
        const Keeps from = from_.keeps();
        const Keeps to = to_.keeps();
        Progress progress;
        std::string block;
        std::size_t at = 0;
        for (bool at_end = false;;) {
            const std::string_view rest = std::string_view(block).substr(at);
            const Frame frame = decoder->decode(rest, at_end);
            if (!rest.empty() && frame.state != FrameState::need_more) {
                at += frame.size;
                if (frame.state == FrameState::damaged) {
                    losses_.damaged += frame.size;
                } else if (!frame.known_source) {
                    ++losses_.unknown;
                } else if (auto put = put_entry(frame.entry, from, to); !put) {
                    return put;
                }
                continue;
            }
            if (at_end) break;
            block.erase(0, at);
            at = 0;
            const std::size_t have = block.size();
            block.resize(have + block_size);
            auto got = input_.read(block.data() + have, block_size);
            if (!got) return pass_on(std::move(got));
            block.resize(have + *got);
            at_end = *got == 0;
            constexpr std::string_view gzip_magic = "\x1f\x8b";
            const bool first = have == 0 && input_.position() == *got;
            if (first && from_.ending() != Ending::nothing && block.starts_with(gzip_magic)) {
                return fail(input_.path(), "compressed, which cannot be read from a pipe",
                            "name the file, or let zcat decompress it");
            }
            progress.show(input_);
        }
        losses_.damaged += block.size() - at;
        for (Output& output : outputs_) {
            if (auto flushed = output.flush(); !flushed) return flushed;
        }
        return {};
    }

    // On stderr: what is not as it was. Failure if something could not be read.
    int tell() const {
        const std::string text = losses_.describe(from_.keeps());
        if (!text.empty()) std::fprintf(stderr, "twinlog: not exact: %s\n", text.c_str());
        if (losses_.damaged == 0 && !input_.is_torn()) return exit_ok;
        std::string what = "cannot be decompressed to its end";
        if (!input_.is_torn()) {
            what = format_grouped(losses_.damaged) +
                   (losses_.damaged == 1 ? " byte is" : " bytes are") + " no entry in format " +
                   std::string(from_.name()) + " and left out";
        }
        return report(Error{input_.path(), std::move(what), 0, {}});
    }

 private:
    static bool one_stream(const LogFormat& format) {
        const auto places = format.places({});
        return places.front().only.has_value();
    }

    Status put_entry(const Entry& entry, const Keeps& from, const Keeps& to) {
        // A chosen stream is that of a file that holds but one.
        if (stream_ && entry.source != *stream_) return {};
        losses_.count(entry, from, to);
        const std::size_t index =
            outputs_.size() > 1 ? static_cast<std::size_t>(entry.source) : std::size_t{0};
        encoders_[index]->append(entry, outputs_[index].buffer());
        if (outputs_[index].buffer().size() < block_size) return {};
        return outputs_[index].flush();
    }

    const LogFormat& from_;
    const LogFormat& to_;
    Input input_;
    std::optional<Source> stream_;
    std::vector<Output> outputs_;
    std::vector<std::unique_ptr<EntryEncoder>> encoders_;
    Losses losses_;
};

Result<int> convert(const Arguments& arguments) {
    auto from = find_format(arguments.from);
    if (!from) return pass_on(std::move(from));
    auto to = find_format(arguments.to);
    if (!to) return pass_on(std::move(to));
    auto input = Input::open(arguments.input);
    if (!input) return pass_on(std::move(input));
    Converter converter(**from, **to, std::move(*input));
    if (auto opened = converter.open(arguments); !opened) return pass_on(std::move(opened));
    if (auto ran = converter.run(); !ran) {
        // Who reads has seen enough.
        if (ran.error().code == EPIPE) return exit_ok;
        return pass_on(std::move(ran));
    }
    return converter.tell();
}

}  // namespace

void register_convert(CLI::App& app, Action& chosen) {
    auto arguments = std::make_shared<Arguments>();
    CLI::App* command = app.add_subcommand(
        "convert", "Converts a log file, of twinlog or of dockerd, from one format to another");
    std::vector<std::string> names;
    for (const LogFormat* format : formats()) names.emplace_back(format->name());
    command->add_option("--from", arguments->from, "Format of IN")
        ->check(CLI::IsMember(names))
        ->required();
    command->add_option("--to", arguments->to, "Format of OUT")
        ->check(CLI::IsMember(names))
        ->required();
    command
        ->add_option("--stream", arguments->stream,
                     "Only this stream; from raw: the stream that IN is. To raw without it: "
                     "OUT.stdout and OUT.stderr")
        ->check(CLI::IsMember({"stdout", "stderr"}));
    command->add_option("IN", arguments->input, "File to read, may be gzip; -: standard input")
        ->type_name("FILE")
        ->required();
    command->add_option("OUT", arguments->output, "File to write; -: standard output")
        ->type_name("FILE")
        ->required();
    command->callback([&chosen, arguments] {
        chosen = [arguments] {
            if (std::signal(SIGPIPE, SIG_IGN) == SIG_ERR) {
                return report(Error{"SIGPIPE", "cannot ignore it", errno, {}});
            }
            const auto converted = convert(*arguments);
            return converted ? *converted : report(converted.error());
        };
    });
}

}  // namespace twinlog
