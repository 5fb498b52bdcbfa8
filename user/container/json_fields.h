// Forgiving access to JSON that others wrote: a field that is missing or of a wrong type is
// unknown.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace twinlog {

// Larger files are not read: Docker's own are some KiB, more with many labels or mounts.
inline constexpr std::size_t max_metadata_file = 4UL * 1024 * 1024;

// None if text is no JSON. What is nested deeper than 32 levels is left out, to bound memory.
std::optional<nlohmann::json> parse_json(std::string_view text);

// The value at the end of a path of object keys; null if there is none. It belongs to root.
const nlohmann::json* find_field(const nlohmann::json& root,
                                 std::initializer_list<std::string_view> path);

std::string text_field(const nlohmann::json& root, std::initializer_list<std::string_view> path);
bool bool_field(const nlohmann::json& root, std::initializer_list<std::string_view> path);
std::optional<std::uint32_t> number_field(const nlohmann::json& root,
                                          std::initializer_list<std::string_view> path);
// The members of an object that are strings.
std::map<std::string, std::string> text_map_field(const nlohmann::json& root,
                                                  std::initializer_list<std::string_view> path);
// An RFC 3339 time as Unix ns; 0 for none, for one before 1970 (Go's zero time) and for bad ones.
std::int64_t time_field(const nlohmann::json& root, std::initializer_list<std::string_view> path);

}  // namespace twinlog
