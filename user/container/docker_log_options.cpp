// Docker's log options that choose attributes.
#include "container/docker_log_options.h"

#include <re2/re2.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "container/json_fields.h"

namespace twinlog {
namespace {

using nlohmann::json;
using Texts = std::map<std::string, std::string>;

constexpr std::size_t short_id = 12;

// Those whose key stands in a list that is separated by commas, or matches an expression.
void choose(const Texts& from, const Texts& options, const std::string& name, Texts& to) {
    if (const auto list = options.find(name); list != options.end()) {
        std::string_view rest = list->second;
        while (!rest.empty()) {
            const std::string_view key = rest.substr(0, rest.find(','));
            rest.remove_prefix(std::min(key.size() + 1, rest.size()));
            if (const auto found = from.find(std::string(key)); found != from.end()) {
                to[found->first] = found->second;
            }
        }
    }
    const auto expression = options.find(name + "-regex");
    if (expression == options.end() || expression->second.empty()) return;
    const re2::RE2 pattern(expression->second, re2::RE2::Quiet);
    if (!pattern.ok()) return;
    for (const auto& [key, value] : from) {
        if (re2::RE2::PartialMatch(key, pattern)) to[key] = value;
    }
}

Texts environment(const json& config) {
    Texts variables;
    const json* const list = find_field(config, {"Config", "Env"});
    if (list == nullptr || !list->is_array()) return variables;
    for (const json& item : *list) {
        const auto* const text = item.get_ptr<const std::string*>();
        const std::size_t equals = text == nullptr ? std::string::npos : text->find('=');
        if (equals == std::string::npos) continue;
        variables[text->substr(0, equals)] = text->substr(equals + 1);
    }
    return variables;
}

std::optional<std::string> tag_field(std::string_view name, const json& config) {
    const std::string id = text_field(config, {"ID"});
    std::string image = text_field(config, {"Image"});
    if (name == "FullID") return id;
    if (name == "ID") return id.substr(0, short_id);
    if (name == "Name") {
        const std::string own = text_field(config, {"Name"});
        return own.starts_with('/') ? own.substr(1) : own;
    }
    if (name == "ImageName") return text_field(config, {"Config", "Image"});
    if (name == "ImageFullID") return image;
    // With the name of the digest, as dockerd cuts it.
    if (name == "ImageID") return image.substr(0, short_id);
    if (name == "DaemonName") return "docker";
    return std::nullopt;
}

// Text with fields of a Go template, {{.Name}}; none for anything more.
std::optional<std::string> expand(std::string_view text, const json& config) {
    std::string tag;
    for (;;) {
        const std::size_t begin = text.find("{{");
        tag += text.substr(0, begin);
        if (begin == std::string_view::npos) return tag;
        text.remove_prefix(begin + 2);
        const std::size_t end = text.find("}}");
        if (end == std::string_view::npos) return std::nullopt;
        std::string_view field = text.substr(0, end);
        text.remove_prefix(end + 2);
        while (field.starts_with(' ')) field.remove_prefix(1);
        while (field.ends_with(' ')) field.remove_suffix(1);
        if (!field.starts_with('.')) return std::nullopt;
        const auto value = tag_field(field.substr(1), config);
        if (!value) return std::nullopt;
        tag += *value;
    }
}

}  // namespace

std::map<std::string, std::string> docker_log_attributes(const json& config, const json& host) {
    Texts attributes;
    const Texts options = text_map_field(host, {"LogConfig", "Config"});
    choose(text_map_field(config, {"Config", "Labels"}), options, "labels", attributes);
    choose(environment(config), options, "env", attributes);
    const auto tag = options.find("tag");
    if (tag != options.end() && !tag->second.empty()) {
        if (auto expanded = expand(tag->second, config)) attributes["tag"] = *std::move(expanded);
    }
    return attributes;
}

}  // namespace twinlog
