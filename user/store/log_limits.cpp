#include "store/log_limits.h"

#include <charconv>
#include <limits>
#include <utility>

#include "base/byte_size.h"
#include "base/escape.h"

namespace twinlog {

namespace {

constexpr int most_files = 1000;

std::uint64_t total(const LogLimits& limits) {
    std::uint64_t bytes = 0;
    if (limits.max_size <= 0 ||
        __builtin_mul_overflow(static_cast<std::uint64_t>(limits.max_size),
                               static_cast<std::uint64_t>(limits.max_file), &bytes)) {
        return std::numeric_limits<std::uint64_t>::max();
    }
    return bytes;
}

}  // namespace

LogLimits limits_of(const LogOwner& owner, const LogLimits& host, std::uint64_t most,
                    std::vector<std::string>& notes) {
    LogLimits limits = host;
    const auto refuse = [&notes](const std::string& key, const std::string& value) {
        notes.push_back("label " + key + "=" + escape_for_terminal(value) +
                        " is no such limit: passed over");
    };
    if (const auto label = owner.labels.find("twinlog.max-size"); label != owner.labels.end()) {
        const auto size = parse_decimal_size(label->second);
        const bool unlimited = label->second == "-1";
        if (unlimited && host.max_size > 0) {
            notes.push_back(
                "label twinlog.max-size=-1 is passed over: no container may have a log without "
                "limit where the host has one; name a size, or run with --max-size -1");
        } else if (unlimited) {
            limits.max_size = 0;
        } else if (size && *size > 0 && std::in_range<std::int64_t>(*size)) {
            limits.max_size = static_cast<std::int64_t>(*size);
        } else {
            refuse(label->first, label->second);
        }
    }
    if (const auto label = owner.labels.find("twinlog.max-file"); label != owner.labels.end()) {
        const std::string& text = label->second;
        int count = 0;
        const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), count);
        if (error == std::errc{} && stop == text.data() + text.size() && count > 0 &&
            count <= most_files) {
            limits.max_file = count;
        } else {
            refuse(label->first, text);
        }
    }
    if (total(limits) <= most || total(limits) <= total(host)) return limits;
    notes.push_back("labels twinlog.max-size and twinlog.max-file are passed over: " +
                    std::to_string(limits.max_file) + " files of " +
                    format_grouped(static_cast<std::uint64_t>(limits.max_size)) +
                    " bytes are more than --max-by-label of `twinlog run` allows (" +
                    format_grouped(most) + ")");
    return host;
}

}  // namespace twinlog
