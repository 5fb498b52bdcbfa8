// Forgiving access to JSON that others wrote.
#include "container/json_fields.h"

#include <algorithm>
#include <limits>

#include "base/docker_time.h"

namespace twinlog {

using nlohmann::json;

std::optional<json> parse_json(std::string_view text) {
    constexpr int max_depth = 32;
    const auto keep = [](int depth, json::parse_event_t /*event*/, json& /*value*/) {
        return depth <= max_depth;
    };
    try {
        json value = json::parse(text.begin(), text.end(), keep, /*allow_exceptions=*/false);
        if (value.is_discarded()) return std::nullopt;
        return value;
    } catch (const json::exception&) {
        return std::nullopt;
    }
}

const json* find_field(const json& root, std::initializer_list<std::string_view> path) {
    const json* value = &root;
    for (const std::string_view key : path) {
        if (!value->is_object()) return nullptr;
        const auto found = value->find(std::string(key));
        if (found == value->end()) return nullptr;
        value = &*found;
    }
    return value;
}

std::string text_field(const json& root, std::initializer_list<std::string_view> path) {
    const json* value = find_field(root, path);
    const auto* text = value == nullptr ? nullptr : value->get_ptr<const std::string*>();
    return text == nullptr ? std::string{} : *text;
}

bool bool_field(const json& root, std::initializer_list<std::string_view> path) {
    const json* value = find_field(root, path);
    const auto* flag = value == nullptr ? nullptr : value->get_ptr<const bool*>();
    return flag != nullptr && *flag;
}

std::optional<std::uint32_t> number_field(const json& root,
                                          std::initializer_list<std::string_view> path) {
    const json* value = find_field(root, path);
    const auto* number =
        value == nullptr ? nullptr : value->get_ptr<const json::number_unsigned_t*>();
    if (number == nullptr || *number > std::numeric_limits<std::uint32_t>::max()) {
        return std::nullopt;
    }
    return static_cast<std::uint32_t>(*number);
}

std::map<std::string, std::string> text_map_field(const json& root,
                                                  std::initializer_list<std::string_view> path) {
    std::map<std::string, std::string> map;
    const json* value = find_field(root, path);
    const auto* object = value == nullptr ? nullptr : value->get_ptr<const json::object_t*>();
    if (object == nullptr) return map;
    for (const auto& [key, member] : *object) {
        if (const auto* text = member.get_ptr<const std::string*>()) map.emplace(key, *text);
    }
    return map;
}

std::int64_t time_field(const json& root, std::initializer_list<std::string_view> path) {
    const std::string text = text_field(root, path);
    // parse_docker_time() takes spans and dates too, which have no place here.
    constexpr std::size_t separator = 10;
    constexpr std::size_t shortest = std::string_view("2026-11-24T00:03:49Z").size();
    if (text.size() < shortest || text[separator] != 'T') return 0;
    const auto time = parse_docker_time("time", text, TimeReference{});
    if (!time || !*time) return 0;
    return std::max<std::int64_t>(**time, 0);
}

}  // namespace twinlog
