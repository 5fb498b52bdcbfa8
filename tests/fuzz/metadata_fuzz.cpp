// What runtimes and twinlog itself leave in files about containers, and command lines of their
// processes: any bytes are read without harm, and container.json says what it said.
#include <string>
#include <string_view>
#include <vector>

#include "container/bundle.h"
#include "container/cgroup_name.h"
#include "container/containerd_metadata.h"
#include "container/docker_metadata.h"
#include "container/podman_metadata.h"
#include "container/process.h"
#include "fuzz.h"
#include "store/container_info.h"
#include "store/store.h"

using namespace twinlog;
using namespace twinlog::fuzz;

namespace {

void check(const std::optional<Metadata>& metadata) {
    if (!metadata) return;
    require(metadata->created_ns >= 0 && metadata->started_ns >= 0, "times are possible");
    require(metadata->state_pid != 0U, "a pid is none or not 0");
    ContainerInfo info;
    info.id = "id";
    info.name = metadata->name;
    info.image = metadata->image;
    info.labels = metadata->labels;
    info.log_driver = metadata->log_driver;
    const auto again = container_info_from_json(to_json(info), "it");
    require(again.has_value() && *again == info, "what was read in JSON can be stored in JSON");
}

void read_arguments(std::string_view text) {
    const std::vector<std::string> arguments = parse_nul_list(text);
    (void)parse_dockerd_arguments(arguments);
    const auto conmon = parse_conmon_arguments(arguments);
    require(!conmon || safe_id(conmon->id), "conmon's id is safe");
    const auto shim = parse_shim_arguments(arguments);
    require(!shim || safe_id(shim->id), "a shim's id is safe");
}

void read_info(std::string_view text) {
    const auto info = container_info_from_json(text, "it");
    if (!info) {
        require(!info.error().message().empty(), "an error says something");
        return;
    }
    const auto again = container_info_from_json(to_json(*info), "it");
    require(again.has_value() && *again == *info, "what was read is what is written");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Input input(data, size);
    const std::uint8_t kind = input.byte();
    if (kind % 8 == 7) {
        read_arguments(input.rest());
        return 0;
    }
    const std::size_t second = kind % 8 == 6 ? input.upto(0xffff) : 0;
    const std::string hostconfig(input.take(second));
    const std::string text(input.rest());
    check(parse_docker_metadata(text, hostconfig));
    check(parse_bundle(text));
    check(parse_podman_storage(text, "abc"));
    read_info(text);
    return 0;
}
