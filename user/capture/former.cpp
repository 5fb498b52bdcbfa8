#include "capture/former.h"

#include <bpf/bpf.h>

#include <array>
#include <cerrno>
#include <string>

#include "base/unique_fd.h"
#include "record.h"

namespace twinlog {

Result<std::optional<FormerDaemon>> find_former(Pins& pins) {
    const char* const way_out = "`twinlog stop --discard` with this store throws it away";
    if (!pins.exist()) return std::nullopt;
    // Of another layout it may be larger.
    struct {
        tw_about about;
        std::array<char, 256> more;
    } found{};
    const std::uint32_t zero = 0;
    const UniqueFd about_map(bpf_obj_get(pins.path("about").c_str()));
    if ((about_map.valid() || errno != ENOENT) &&
        bpf_map_lookup_elem(about_map.get(), &zero, &found) != 0) {
        return fail_errno(pins.directory(), "what a former daemon left here cannot be read",
                          way_out);
    }
    if (found.about.layout == 0) {
        // Killed before it was ready: nothing was captured.
        if (auto removed = pins.remove(); !removed) return pass_on(std::move(removed));
        return std::nullopt;
    }
    if (found.about.layout != TW_LAYOUT) {
        return fail(
            pins.directory(),
            "a twinlog with another layout of its maps (" + std::to_string(found.about.layout) +
                ", not " + std::to_string(TW_LAYOUT) + ") left records here",
            "start that version once more and end it with SIGTERM; " + std::string(way_out));
    }
    const UniqueFd output_map(bpf_obj_get(pins.path("output").c_str()));
    bpf_map_info info{};
    std::uint32_t size = sizeof(info);
    if (!output_map.valid() || bpf_obj_get_info_by_fd(output_map.get(), &info, &size) != 0) {
        return fail_errno(pins.directory(), "what a former daemon left here cannot be read",
                          way_out);
    }
    return FormerDaemon{static_cast<Backend>(found.about.backend), info.max_entries};
}

}  // namespace twinlog
