// Names of podman's (and CRI-O's) containers: from the command line of conmon, which is the parent
// of a container's init, and from the files that it points at.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "container/metadata.h"
#include "container/process.h"

namespace twinlog {

// What conmon(8) was told.
struct ConmonArguments {
    std::string id;
    std::string name;  // as it was at the start: a rename does not show here
    std::string bundle;
    std::string log_driver;  // empty: not told
    bool tty = false;

    bool operator==(const ConmonArguments&) const = default;
};

// None if there is no container id among the arguments, or if this conmon serves an exec.
std::optional<ConmonArguments> parse_conmon_arguments(const std::vector<std::string>& arguments);

// What containers/storage's containers.json says of one container: name, image, creation.
std::optional<Metadata> parse_podman_storage(std::string_view text, const std::string& id);

class PodmanMetadata : public MetadataSource {
 public:
    // host_root: where the host's files are seen.
    explicit PodmanMetadata(ProcFs proc, std::string host_root = "/")
        : proc_(std::move(proc)), host_root_(std::move(host_root)) {}

    std::optional<Metadata> look_up(const ContainerRef& container) override;
    // Only running containers are found: their conmon is what is looked for. Those that
    // the host's root does not run count only if there is no match among those that it does.
    std::vector<std::string> resolve(const std::string& text) override;

 private:
    [[nodiscard]] std::optional<Metadata> describe(std::uint32_t conmon,
                                                   const ConmonArguments& arguments) const;

    ProcFs proc_;
    std::string host_root_;
};

}  // namespace twinlog
