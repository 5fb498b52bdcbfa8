// Writer and reader of CRI lines. A place where bytes are missing is a piece without text whose
// second tag tells it: readers of this format split tags at colons and look at the first.
#include "format/cri.h"

#include <algorithm>
#include <charconv>
#include <limits>

#include "format/pieces.h"
#include "format/timestamp.h"

namespace twinlog {

namespace {

// Far more than any runtime's limit for a line, which is 16 KiB where nobody changed it.
constexpr std::size_t max_line = std::size_t{4} << 20U;

constexpr std::string_view gap_tag = "twinlog-lost-";

class CriEncoder : public EntryEncoder {
 public:
    void append(const Entry& entry, std::string& out) override {
        if (entry.gap) {
            begin(entry, out);
            out += " P:";
            out += gap_tag;
            out += std::to_string(entry.gap->bytes) + '-' +
                   std::to_string(static_cast<unsigned>(entry.gap->reason)) + " \n";
            return;
        }
        // Producers of other formats may store many lines in one entry. Here a newline ends one,
        // and what follows could be made to look like an entry of another time.
        std::string_view rest = entry.line;
        for (std::size_t end = 0; (end = rest.find('\n')) != std::string_view::npos;) {
            append_line(entry, " F ", rest.substr(0, end), out);
            rest.remove_prefix(end + 1);
        }
        append_line(entry, !entry.partial || entry.partial->last ? " F " : " P ", rest, out);
    }

 private:
    static void begin(const Entry& entry, std::string& out) {
        append_rfc3339_nano(entry.time_ns, out);
        out += ' ';
        out += source_name(entry.source);
    }

    static void append_line(const Entry& entry, std::string_view tag, std::string_view text,
                            std::string& out) {
        begin(entry, out);
        out += tag;
        out += text;
        out += '\n';
    }
};

// Takes the text before the next space off the front; all of it where there is none.
std::string_view take_word(std::string_view& text) {
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return word;
}

std::optional<Gap> parse_gap(std::string_view tag) {
    if (!tag.starts_with(gap_tag)) return std::nullopt;
    tag.remove_prefix(gap_tag.size());
    std::uint64_t bytes = 0;
    std::uint8_t reason = 0;
    const char* const end = tag.data() + tag.size();
    const auto [dash, bad_bytes] = std::from_chars(tag.data(), end, bytes);
    if (bad_bytes != std::errc{} || dash == end || *dash != '-') return std::nullopt;
    const auto [stop, bad_reason] = std::from_chars(dash + 1, end, reason);
    if (bad_reason != std::errc{} || stop != end) return std::nullopt;
    return Gap{bytes, static_cast<GapReason>(reason)};
}

class CriDecoder : public EntryDecoder {
 public:
    Frame decode(std::string_view bytes, bool at_end) override {
        Frame frame;
        const std::size_t newline = bytes.substr(0, max_line).find('\n');
        if (newline == std::string_view::npos) {
            const bool too_long = bytes.size() >= max_line;
            // A text without its newline cannot be told from a torn one, even at the end.
            (void)at_end;
            frame.state = too_long ? FrameState::damaged : FrameState::need_more;
            frame.size = too_long ? bytes.size() : bytes.size() + 1;
            return frame;
        }
        frame.size = newline + 1;
        if (parse(bytes.substr(0, newline), frame)) frame.state = FrameState::whole;
        return frame;
    }

 private:
    bool parse(std::string_view line, Frame& frame) {
        Entry& entry = frame.entry;
        const auto time = parse_rfc3339(take_word(line));
        if (!time) return false;
        entry.time_ns = *time;
        const std::string_view stream = take_word(line);
        entry.source = stream == source_name(Source::stderr_) ? Source::stderr_ : Source::stdout_;
        if (stream != source_name(entry.source)) return false;
        std::string_view tags = take_word(line);
        const std::string_view first = tags.substr(0, tags.find(':'));
        if (first != "P" && first != "F") return false;
        frame.known_source = true;
        tags.remove_prefix(std::min(first.size() + 1, tags.size()));
        if (line.empty()) entry.gap = parse_gap(tags);
        if (entry.gap) return true;
        entry.line = line;
        entry.partial = pieces_.next(entry.source, first == "F", entry.time_ns);
        return true;
    }

    Pieces pieces_;
};

// No file system takes names of more than 255 bytes: these are the most that parts of one may have.
constexpr std::size_t longest_name = 100;
constexpr std::size_t longest_namespace = 63;  // a DNS label
constexpr std::size_t longest_uid = 64;
constexpr std::size_t longest_runtime = 24;
constexpr std::size_t longest_id = 128;  // safe_id()

// One name of a path. What it is made of is hostile; Kubernetes' own names pass unchanged.
std::string safe_name(std::string_view text, std::string_view fallback,
                      std::size_t longest = longest_name) {
    std::string name;
    for (const char c : text.substr(0, longest)) {
        const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                           (c >= 'A' && c <= 'Z') || c == '-' || (c == '.' && !name.empty());
        // An underscore separates the parts of a pod's directory.
        name += plain ? c : '-';
    }
    return name.empty() ? std::string(fallback) : name;
}

// A pod's directory that no labels make: theirs have something for a uid.
std::string own_directory(std::string_view space, std::string_view pod, std::string_view id) {
    constexpr std::size_t longest = 40;  // beside the id, of a name of 255 bytes
    return safe_name(space, "default", longest) + '_' + safe_name(pod, "pod", longest) + "__" +
           safe_name(id, "unknown", longest_id);
}

class CriFormat : public LogFormat {
 public:
    [[nodiscard]] std::string_view name() const override { return "cri"; }
    [[nodiscard]] std::unique_ptr<EntryEncoder> encoder() const override {
        return std::make_unique<CriEncoder>();
    }
    [[nodiscard]] std::unique_ptr<EntryDecoder> decoder(
        const DecoderOptions& /*options*/) const override {
        return std::make_unique<CriDecoder>();
    }

    // <namespace>_<pod>_<uid>/<container>/<restarts>.log. Where there is no pod, the runtime stands
    // for the namespace and the container for its pod, so that agents' patterns still match.
    [[nodiscard]] std::vector<LogPlace> places(const LogOwner& owner) const override {
        const auto label = [&owner](const std::string& key) -> std::string_view {
            const auto found = owner.labels.find(key);
            return found == owner.labels.end() ? std::string_view() : found->second;
        };
        const std::string_view pod = label("io.kubernetes.pod.name");
        const std::string_view uid = label("io.kubernetes.pod.uid");
        if (pod.empty() || uid.empty()) {
            const std::string container = safe_name(owner.name, "container");
            const std::string file = '/' + container + "/0.log";
            return {{.path = safe_name(owner.runtime, "container", longest_runtime) + '_' +
                             container + '_' + safe_name(owner.id, "unknown", longest_id) + file,
                     .in_pods = true,
                     .otherwise = own_directory(owner.runtime, owner.name, owner.id) + file}};
        }
        std::string_view restarts = label("io.kubernetes.container.restartCount");
        if (restarts.empty()) restarts = label("annotation.io.kubernetes.container.restartCount");
        const bool is_number = !restarts.empty() && restarts.size() < 10 &&
                               restarts.find_first_not_of("0123456789") == std::string_view::npos;
        const std::string_view space = label("io.kubernetes.pod.namespace");
        const std::string file = '/' +
                                 safe_name(label("io.kubernetes.container.name"), "container") +
                                 '/' + (is_number ? std::string(restarts) : "0") + ".log";
        return {{.path = safe_name(space, "default", longest_namespace) + '_' +
                         safe_name(pod, "pod") + '_' + safe_name(uid, "unknown", longest_uid) +
                         file,
                 .in_pods = true,
                 .otherwise = own_directory(space, pod, owner.id) + file}};
    }

    [[nodiscard]] Keeps keeps() const override {
        return {.newlines = false, .partials = false, .facts = false, .attributes = false};
    }
};

}  // namespace

const LogFormat& cri_format() {
    static const CriFormat format;
    return format;
}

}  // namespace twinlog
