// An OCI bundle's config.json (opencontainers/runtime-spec): what its annotations tell of a
// container.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "container/metadata.h"
#include "container/rooted_file.h"

namespace twinlog {

// Reads name, image, labels, tty out of the text of a config.json, as far as containerd's CRI
// plugin, CRI-O, nerdctl or podman left them there. A pod's container is named "pod/container".
// runtime is set where the annotations tell. None if text is no JSON object.
std::optional<Metadata> parse_bundle(std::string_view text);

// The same from the bundle's directory, whose path is absolute within files.
std::optional<Metadata> read_bundle(const FileRoot& files, const std::string& directory);

// Value of an option among a program's arguments, in any of the forms "-x v", "--xx v", "--xx=v";
// names are whole, dashes included. The first one counts; empty if there is none.
// with_value: all options whose value is an argument of its own, so that values are not taken for
// options.
std::string option_value(const std::vector<std::string>& arguments,
                         const std::vector<std::string_view>& names,
                         const std::vector<std::string_view>& with_value);
// Whether an option without a value is there.
bool option_given(const std::vector<std::string>& arguments,
                  const std::vector<std::string_view>& names,
                  const std::vector<std::string_view>& with_value);

}  // namespace twinlog
