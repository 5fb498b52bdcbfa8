// Times as the docker command line reads and prints them; moby api/types/time, Go's time package.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace twinlog {

// What relative times and times without a zone are measured against.
struct TimeReference {
    std::int64_t now_ns = 0;              // Unix time
    std::int32_t utc_offset_seconds = 0;  // east of Greenwich
};

// Now, with the local zone's present offset (Docker takes the present one for any date).
TimeReference local_time_reference();

// Reads the value of --since or --until; option is its bare name and stands in the error, which is
// worded as docker words it. Takes Go durations ("10m" ago, "-1h" ahead), Unix seconds with an
// optional fraction, and RFC 3339 dates and times, whole or cut off after the date, the hour or the
// minute, with or without a zone. Unix ns; beyond int64's range the nearest end of it. An empty
// value gives nothing: unset.
Result<std::optional<std::int64_t>> parse_docker_time(std::string_view option,
                                                      std::string_view value,
                                                      const TimeReference& reference);

// Nanoseconds since 1970 of a second and 0 to 999,999,999 ns after it; none if int64 has no such
// time.
[[nodiscard]] std::optional<std::int64_t> to_unix_ns(std::int64_t seconds, std::int64_t ns);

// Appends RFC 3339 in UTC with always nine digits, 30 bytes for years up to 9999, as `docker logs
// -t` prints it: 2026-11-24T00:03:49.050969788Z.
void append_docker_time(std::int64_t unix_ns, std::string& out);

// Docker's words for a span: "Less than a second", "5 seconds", "About a minute", "3 weeks".
std::string human_duration(std::int64_t ns);

}  // namespace twinlog
