// Names of containerd's containers (CRI, ctr, nerdctl): from the bundle that the container's shim,
// the parent of its init, works in.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "container/metadata.h"
#include "container/process.h"
#include "container/rooted_file.h"

namespace twinlog {

// What a containerd shim was told (containerd runtime/v2 README).
struct ShimArguments {
    std::string name_space;
    std::string id;  // of a pod's sandbox if the shim serves a pod

    bool operator==(const ShimArguments&) const = default;
};

// None if there is no id among the arguments.
std::optional<ShimArguments> parse_shim_arguments(const std::vector<std::string>& arguments);

// Of Docker's containers (namespace "moby") it says only that they are Docker's.
class ContainerdMetadata : public MetadataSource {
 public:
    explicit ContainerdMetadata(ProcFs proc) : proc_(std::move(proc)) {}

    std::optional<Metadata> look_up(const ContainerRef& container) override;
    // Only running containers are found: their shim is what is looked for. Those that
    // the host's root does not run count only if there is no match among those that it does.
    std::vector<std::string> resolve(const std::string& text) override;

 private:
    struct Shim {
        ShimArguments arguments;
        FileRoot files;
        std::string tasks;  // directory of the bundles of its namespace
    };
    [[nodiscard]] std::optional<Shim> shim(std::uint32_t pid) const;

    ProcFs proc_;
};

}  // namespace twinlog
