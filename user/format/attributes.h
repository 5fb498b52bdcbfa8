// Docker's "extra attributes" of an entry: label, environment and tag values that a user asked for.
// Kept packed, as Docker's local format holds them: field 6 of its LogEntry, repeated (moby
// daemon/logger/internal/logdriver/entry.proto), so that they cost nothing where there are none.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace twinlog {

// Sorted by key, as Docker writes them. Empty for none.
std::string pack_attributes(const std::map<std::string, std::string>& attributes);

// Whatever is no attribute is passed over. The first of two with one key counts.
std::map<std::string, std::string> unpack_attributes(std::string_view packed);

}  // namespace twinlog
