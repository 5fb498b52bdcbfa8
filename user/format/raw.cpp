// Writer and reader of raw streams. Read back, lines are cut as Docker's copier cuts them (moby
// daemon/logger/copier.go), because the file says nothing of it.
#include "format/raw.h"

#include <algorithm>

#include "format/pieces.h"

namespace twinlog {

namespace {

constexpr std::size_t piece_size = 16384;

class RawEncoder : public EntryEncoder {
 public:
    void append(const Entry& entry, std::string& out) override {
        if (entry.gap) return;
        out += entry.line;
        if (!entry.partial || entry.partial->last) out += '\n';
    }
};

class RawDecoder : public EntryDecoder {
 public:
    explicit RawDecoder(const DecoderOptions& options) : options_(options) {}

    Frame decode(std::string_view bytes, bool at_end) override {
        Frame frame;
        const std::string_view piece = bytes.substr(0, piece_size);
        const std::size_t newline = piece.find('\n');
        const bool ends_line = newline != std::string_view::npos;
        const bool cut = piece.size() == piece_size || (at_end && !piece.empty());
        if (!ends_line && !cut) {
            frame.state = FrameState::need_more;
            frame.size = piece_size;
            return frame;
        }
        frame.state = FrameState::whole;
        frame.known_source = true;
        frame.entry.source = options_.source;
        frame.entry.time_ns = options_.time_ns;
        frame.entry.line = piece.substr(0, newline);
        frame.entry.partial = pieces_.next(options_.source, ends_line, options_.time_ns);
        frame.size = frame.entry.line.size() + (ends_line ? 1 : 0);
        return frame;
    }

 private:
    DecoderOptions options_;
    Pieces pieces_;
};

class RawFormat : public LogFormat {
 public:
    [[nodiscard]] std::string_view name() const override { return "raw"; }
    [[nodiscard]] std::unique_ptr<EntryEncoder> encoder() const override {
        return std::make_unique<RawEncoder>();
    }
    [[nodiscard]] std::unique_ptr<EntryDecoder> decoder(
        const DecoderOptions& options) const override {
        return std::make_unique<RawDecoder>(options);
    }
    [[nodiscard]] std::vector<LogPlace> places(const LogOwner& /*owner*/) const override {
        return {{"stdout.log", false, Source::stdout_}, {"stderr.log", false, Source::stderr_}};
    }
    [[nodiscard]] Keeps keeps() const override {
        return {
            .times = false, .partials = false, .facts = false, .gaps = false, .attributes = false};
    }
    [[nodiscard]] Ending ending() const override { return Ending::nothing; }
};

}  // namespace

const LogFormat& raw_format() {
    static const RawFormat format;
    return format;
}

}  // namespace twinlog
