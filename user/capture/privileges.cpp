#include "capture/privileges.h"

#include <bpf/bpf.h>
#include <cap-ng.h>
#include <linux/capability.h>
#include <sys/prctl.h>

#include <algorithm>
#include <cerrno>

#include "base/unique_fd.h"

namespace twinlog {

namespace {

bool in_effect(int capability) {
    return capng_have_capability(CAPNG_EFFECTIVE, static_cast<unsigned int>(capability)) != 0;
}

bool has(int capability) {
    const bool for_bpf = capability == CAP_BPF || capability == CAP_PERFMON;
    return in_effect(capability) || (for_bpf && in_effect(CAP_SYS_ADMIN));
}

Status set_capabilities(const std::vector<int>& effective, const std::vector<int>& permitted) {
    capng_clear(CAPNG_SELECT_CAPS);
    for (const auto& [set, capabilities] :
         {std::pair{CAPNG_EFFECTIVE, &effective}, {CAPNG_PERMITTED, &permitted}}) {
        for (const int capability : *capabilities) {
            capng_update(CAPNG_ADD, set, static_cast<unsigned int>(capability));
        }
    }
    if (capng_apply(CAPNG_SELECT_CAPS) != 0) return fail_errno("capabilities", "giving them up");
    return {};
}

// Before Linux 5.19, kernel.unprivileged_bpf_disabled closed every use of bpf(2) to whom lacks
// CAP_BPF, that of maps which are open already included.
bool may_use(const UniqueFd& map) {
    const std::uint32_t zero = 0;
    std::uint32_t value = 0;
    return bpf_map_lookup_elem(map.get(), &zero, &value) == 0 || errno != EPERM;
}

}  // namespace

const std::vector<Privilege>& needed_privileges() {
    static const std::vector<Privilege> privileges{
        {CAP_BPF, "CAP_BPF", "to load BPF programs and make their maps", true},
        {CAP_PERFMON, "CAP_PERFMON",
         "to attach programs to the kernel's trace points and let them read its memory", true},
        {CAP_SYS_PTRACE, "CAP_SYS_PTRACE",
         "to see in /proc to which container a process belongs, and what waits in its pipe", false},
        {CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH",
         "to read names in the files of other users' runtimes, and pipes that are theirs", false}};
    return privileges;
}

std::vector<Privilege> missing_privileges(bool search_modules) {
    std::vector<Privilege> missing;
    const bool known = capng_get_caps_process() == 0;
    for (const Privilege& privilege : needed_privileges()) {
        if (!known || !has(privilege.capability)) missing.push_back(privilege);
    }
    // libbpf before 1.2 takes a refusal to look into the modules for a failure.
    if (search_modules && !has(CAP_SYS_ADMIN)) {
        missing.push_back({CAP_SYS_ADMIN, "CAP_SYS_ADMIN",
                           "before Linux 6.16, for libbpf to look for a function in the kernel's "
                           "modules while it loads",
                           true});
    }
    return missing;
}

Status check_privileges(bool search_modules) {
    std::string names;
    for (const Privilege& privilege : missing_privileges(search_modules)) {
        names +=
            std::string(names.empty() ? "" : ", ") + privilege.name + " (" + privilege.reason + ")";
    }
    if (names.empty()) return {};
    return fail(Error{"capture", "it lacks " + names, EPERM,
                      "run it as root, sudo twinlog …, or with these capabilities"});
}

Status drop_privileges() {
    if (capng_get_caps_process() != 0) return fail_errno("capabilities", "asking for them");
    std::vector<int> kept;
    for (const Privilege& privilege : needed_privileges()) {
        if (!privilege.to_load_only) kept.push_back(privilege.capability);
    }
    const int for_bpf = in_effect(CAP_BPF) ? CAP_BPF : CAP_SYS_ADMIN;
    const UniqueFd map(bpf_map_create(BPF_MAP_TYPE_ARRAY, "twinlog_probe", sizeof(std::uint32_t),
                                      sizeof(std::uint32_t), 1, nullptr));
    if (!map.valid()) return fail_errno("BPF map", "making one");
    std::vector<int> permitted = kept;
    permitted.push_back(for_bpf);
    if (auto tried = set_capabilities(kept, permitted); !tried) return tried;
    if (!may_use(map)) kept.push_back(for_bpf);
    if (auto applied = set_capabilities(kept, kept); !applied) return applied;
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return fail_errno("privileges", "PR_SET_NO_NEW_PRIVS");
    }
    if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
        return fail_errno("privileges", "PR_SET_DUMPABLE");
    }
    return {};
}

Status drop_all_privileges() {
    if (capng_get_caps_process() != 0) return fail_errno("capabilities", "asking for them");
    if (auto applied = set_capabilities({}, {}); !applied) return applied;
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return fail_errno("privileges", "PR_SET_NO_NEW_PRIVS");
    }
    return {};
}

}  // namespace twinlog
