// An OCI bundle's config.json: what its annotations tell of a container. Keys: containerd
// internal/cri/annotations, cri-o pkg/annotations, nerdctl pkg/labels.
#include "container/bundle.h"

#include <algorithm>

#include "container/json_fields.h"

namespace twinlog {
namespace {

using Annotations = std::map<std::string, std::string>;

std::string first_of(const Annotations& annotations, std::initializer_list<const char*> keys) {
    for (const char* key : keys) {
        const auto found = annotations.find(key);
        if (found != annotations.end() && !found->second.empty()) return found->second;
    }
    return {};
}

bool contains(const std::vector<std::string_view>& names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

void set_label(Metadata& metadata, const char* key, const std::string& value) {
    if (!value.empty()) metadata.labels[key] = value;
}

}  // namespace

std::optional<Metadata> parse_bundle(std::string_view text) {
    const auto json = parse_json(text);
    if (!json || !json->is_object()) return std::nullopt;
    Metadata metadata;
    metadata.tty = bool_field(*json, {"process", "terminal"});
    const Annotations annotations = text_map_field(*json, {"annotations"});

    const std::string labels = first_of(annotations, {"io.kubernetes.cri-o.Labels"});
    if (const auto parsed = parse_json(labels)) metadata.labels = text_map_field(*parsed, {});
    // As dockershim and CRI-O label containers, so that one filter finds them under any runtime.
    const std::string pod =
        first_of(annotations, {"io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name"});
    const std::string container =
        first_of(annotations, {"io.kubernetes.cri.container-name", "io.kubernetes.container.name"});
    set_label(metadata, "io.kubernetes.pod.name", pod);
    set_label(metadata, "io.kubernetes.pod.namespace",
              first_of(annotations,
                       {"io.kubernetes.cri.sandbox-namespace", "io.kubernetes.pod.namespace"}));
    set_label(metadata, "io.kubernetes.pod.uid",
              first_of(annotations, {"io.kubernetes.cri.sandbox-uid", "io.kubernetes.pod.uid"}));
    set_label(metadata, "io.kubernetes.container.name", container);

    const bool cri = !first_of(annotations, {"io.kubernetes.cri.container-type",
                                             "io.kubernetes.cri-o.ContainerType"})
                          .empty();
    if (annotations.contains("io.kubernetes.cri.container-type")) {
        metadata.runtime = "containerd";
    } else if (annotations.contains("io.kubernetes.cri-o.ContainerType") &&
               first_of(annotations, {"io.container.manager"}) != "libpod") {
        metadata.runtime = "cri-o";
    }
    if (cri && !metadata.runtime.empty()) metadata.log_driver = "cri";

    metadata.name = first_of(annotations, {"nerdctl/name"});
    if (metadata.name.empty() && !pod.empty()) {
        metadata.name = container.empty() ? pod : pod + "/" + container;
    }
    if (metadata.name.empty()) metadata.name = container;
    metadata.image = first_of(
        annotations, {"io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName",
                      "io.podman.annotations.image-name", "org.opencontainers.image.ref.name",
                      "org.opencontainers.image.base.name"});
    return metadata;
}

std::optional<Metadata> read_bundle(const FileRoot& files, const std::string& directory) {
    const auto text = read_rooted(files, directory + "/config.json", max_metadata_file);
    return text ? parse_bundle(*text) : std::nullopt;
}

std::string option_value(const std::vector<std::string>& arguments,
                         const std::vector<std::string_view>& names,
                         const std::vector<std::string_view>& with_value) {
    for (std::size_t i = 1; i < arguments.size(); ++i) {
        const std::string_view argument = arguments[i];
        if (contains(names, argument)) {
            return i + 1 < arguments.size() ? arguments[i + 1] : std::string{};
        }
        const std::size_t equals = argument.find('=');
        if (equals != std::string_view::npos && contains(names, argument.substr(0, equals))) {
            return std::string(argument.substr(equals + 1));
        }
        if (contains(with_value, argument)) ++i;
    }
    return {};
}

bool option_given(const std::vector<std::string>& arguments,
                  const std::vector<std::string_view>& names,
                  const std::vector<std::string_view>& with_value) {
    for (std::size_t i = 1; i < arguments.size(); ++i) {
        if (contains(names, arguments[i])) return true;
        if (contains(with_value, arguments[i])) ++i;
    }
    return false;
}

}  // namespace twinlog
