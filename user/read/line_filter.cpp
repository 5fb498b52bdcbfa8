#include "read/line_filter.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <utility>

namespace twinlog {

namespace {

constexpr std::size_t max_comm = 15;  // the kernel's TASK_COMM_LEN without its end

}  // namespace

WriterFilter::WriterFilter(std::string_view wanted) : comm_(wanted.substr(0, max_comm)) {
    std::uint32_t pid = 0;
    const char* const end = wanted.data() + wanted.size();
    const auto [stop, error] = std::from_chars(wanted.data(), end, pid);
    if (error == std::errc{} && stop == end) pid_ = pid;
}

bool WriterFilter::matches(const Writer& writer) const {
    if (writer.comm == comm_) return true;
    return pid_ && *pid_ != 0 &&
           (*pid_ == writer.pid || *pid_ == writer.tid || *pid_ == writer.ns_pid);
}

bool LineFilter::matches(const Entry& entry) const {
    if (writer && !(entry.writer && writer->matches(*entry.writer))) return false;
    if (!pattern) return true;
    std::string_view text = entry.line;
    if (text.ends_with('\r')) text.remove_suffix(1);
    return pattern->matches(text) != invert;
}

bool LineSelector::take(Line& line) {
    const bool passes = line.entry.gap || filter_->matches(line.entry);
    if (filter_->context == 0 && !tail_) return passes;
    if (line.entry.gap) {
        skipped_ = skipped_ || !before_.empty();
        before_.clear();
        after_ = 0;
        show(OwnedLine(line));
    } else if (passes) {
        for (OwnedLine& neighbour : before_) show(std::move(neighbour));
        before_.clear();
        after_ = filter_->context;
        show(OwnedLine(line));
    } else {
        line.context = true;
        if (after_ > 0) {
            --after_;
            show(OwnedLine(line));
            return false;
        }
        before_.emplace_back(line);
        if (before_.size() > filter_->context) {
            before_.pop_front();
            skipped_ = true;
        }
    }
    return false;
}

void LineSelector::show(OwnedLine line) {
    if (!line.is_gap()) {
        line.set_after_break(filter_->context > 0 && shown_ && skipped_);
        shown_ = true;
        skipped_ = false;
    }
    const bool is_match = line.is_match();
    ready_.push_back(std::move(line));
    if (tail_ && is_match && ++matches_ > *tail_) drop_first_match();
}

// With the lines around it that are not around the next match.
void LineSelector::drop_first_match() {
    const auto is_match = [](const OwnedLine& line) { return line.is_match(); };
    const auto first = std::find_if(ready_.begin(), ready_.end(), is_match);
    ready_.erase(ready_.begin(), std::next(first));
    --matches_;
    const auto next = std::find_if(ready_.begin(), ready_.end(), is_match);
    const auto context = static_cast<std::ptrdiff_t>(filter_->context);
    if (next - ready_.begin() > context) ready_.erase(ready_.begin(), next - context);
    if (!ready_.empty()) ready_.front().set_after_break(false);
}

bool LineSelector::pop(OwnedLine& line) {
    if (tail_ || ready_.empty()) return false;
    line = std::move(ready_.front());
    ready_.pop_front();
    return true;
}

void LineSelector::release() {
    tail_.reset();
    matches_ = 0;
}

}  // namespace twinlog
