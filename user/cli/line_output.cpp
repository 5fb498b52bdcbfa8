#include "cli/line_output.h"

#include <map>

#include "base/byte_size.h"
#include "base/escape.h"
#include "cli/json_output.h"

namespace twinlog {

namespace {

class ShortOutput : public LineOutput {
 public:
    explicit ShortOutput(const PrintOptions& options) : printer_(options) {}

    void print(const PrintedLog& log, const Line& line) override {
        printer_.print(line, log.owner);
    }
    void print(const PrintedLog& log, const Damage& damage) override {
        printer_.print(damage, log.owner);
    }
    void finish() override { printer_.finish(); }
    [[nodiscard]] const PrintBuffer& output() const override { return printer_.output(); }
    Status flush() override { return printer_.flush(); }

 private:
    LogsPrinter printer_;
};

class JsonOutput : public LineOutput {
 public:
    explicit JsonOutput(bool visible) : visible_(visible) {}

    void print(const PrintedLog& log, const Line& line) override {
        text_.clear();
        append_json_line(log, line, text_);
        append_text();
    }
    void print(const PrintedLog& log, const Damage& damage) override {
        text_.clear();
        append_json_damage(log, damage, text_);
        append_text();
    }
    [[nodiscard]] const PrintBuffer& output() const override { return output_; }
    Status flush() override { return output_.flush(); }

 private:
    void append_text() {
        if (visible_) text_ = json_for_terminal(text_);
        text_ += '\n';
        output_.append(Source::stdout_, text_);
    }

    bool visible_;
    PrintBuffer output_;
    std::string text_;
};

// A message among the bytes would be taken for some of them, so what is missing is told when no
// more come.
class RawOutput : public LineOutput {
 public:
    void print(const PrintedLog& log, const Line& line) override {
        const Entry& entry = line.entry;
        if (entry.gap) {
            Missing& missing = missing_[log.owner.message_prefix];
            missing.bytes += entry.gap->bytes;
            ++missing.places;
            return;
        }
        output_.append(entry.source, entry.line);
        if (has_newline(entry)) output_.append(entry.source, "\n");
    }
    void print(const PrintedLog& log, const Damage& damage) override {
        Missing& missing = missing_[log.owner.message_prefix];
        // What a file that shrank had has been read.
        if (damage.kind != Damage::Kind::shrunk) missing.bytes += damage.bytes;
        ++missing.places;
    }
    void pause() override { finish(); }
    void finish() override {
        for (const auto& [prefix, missing] : missing_) {
            std::string text = prefix + format_grouped(missing.bytes) + " bytes lost, in " +
                               format_grouped(missing.places) +
                               (missing.places == 1 ? " place" : " places") +
                               "; -o short shows where\n";
            output_.append(Source::stderr_, text);
        }
        missing_.clear();
    }
    [[nodiscard]] const PrintBuffer& output() const override { return output_; }
    Status flush() override { return output_.flush(); }

 private:
    struct Missing {
        std::uint64_t bytes = 0;  // that are known: damage may hide others
        std::uint64_t places = 0;
    };
    PrintBuffer output_;
    std::map<std::string, Missing> missing_;  // by whose
};

}  // namespace

std::unique_ptr<LineOutput> make_line_output(OutputForm form, const PrintOptions& options) {
    switch (form) {
        case OutputForm::json:
            return std::make_unique<JsonOutput>(
                options.style[static_cast<std::size_t>(Source::stdout_)].visible);
        case OutputForm::raw:
            return std::make_unique<RawOutput>();
        case OutputForm::short_:
            break;
    }
    return std::make_unique<ShortOutput>(options);
}

}  // namespace twinlog
