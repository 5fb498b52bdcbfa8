// Sizes in bytes as Docker reads and prints them; github.com/docker/go-units.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace twinlog {

// Both read "512", "8k", "1.5 MB", "20MiB": a number that may have a fraction, an optional space,
// and a suffix of any case: b, or one of k m g t p with or without b or ib. The fraction of a byte
// is cut off. Errors are worded as Docker words them: invalid size: 'abc'.

// Steps of 1000 whatever the suffix says (20m and 20MiB are 20,000,000), as for --log-opt max-size.
Result<std::uint64_t> parse_decimal_size(std::string_view text);
// Steps of 1024 whatever the suffix says, as for --memory.
Result<std::uint64_t> parse_binary_size(std::string_view text);

// Three significant digits, steps of 1000: "0B", "999B", "1.23MB".
std::string format_size(std::uint64_t bytes);
// All digits, grouped: "1,234".
std::string format_grouped(std::uint64_t number);

}  // namespace twinlog
