#include "capture/libbpf_log.h"

#include <bpf/libbpf.h>
#include <spdlog/spdlog.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>

namespace twinlog {

namespace {

// The verifier's log may have megabytes; the reason for its refusal is at the end.
constexpr std::size_t most_said = 4096;

int print_libbpf(libbpf_print_level level, const char* format, va_list arguments) {
    char* text = nullptr;
    const int length = ::vasprintf(&text, format, arguments);
    if (length <= 0) return 0;
    const std::unique_ptr<char, decltype(&std::free)> owner(text, &std::free);
    std::string_view line(text, length);
    while (!line.empty() && line.back() == '\n') line.remove_suffix(1);
    if (line.size() > most_said) line.remove_prefix(line.size() - most_said);
    // A failure comes back as an error of ours; libbpf's own words are for whoever looks closer.
    if (level == LIBBPF_DEBUG) {
        spdlog::trace("libbpf: {}", line);
    } else {
        spdlog::debug("libbpf: {}", line);
    }
    return length;
}

}  // namespace

void log_what_libbpf_says() {
    libbpf_set_print(print_libbpf);
}

}  // namespace twinlog
