// RFC 3339 times as Go writes them in log files (time.RFC3339Nano) and as other writers do.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace twinlog {

// Appends UTC with as many digits as the fraction needs, none for a whole second:
// 2026-11-24T00:09:36.94809038Z.
void append_rfc3339_nano(std::int64_t unix_ns, std::string& out);

// Reads a whole date and time with `Z` or a numeric zone; up to nine digits of a fraction count.
// Unix ns; nothing if it is none, or beyond what int64 holds.
std::optional<std::int64_t> parse_rfc3339(std::string_view text);

}  // namespace twinlog
