#include "capture/features.h"

#include <bcc/bcc_proc.h>
#include <bpf/bpf.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>
#include <thread>
#include <utility>

#include "base/byte_size.h"
#include "base/file_system.h"
#include "base/priority.h"
#include "base/unique_fd.h"
#include "capture/backend.h"
#include "capture/pins.h"
#include "capture/privileges.h"
#include "capture/spill_place.h"
#include "record.h"

namespace twinlog {

namespace {

Finding good(std::string subject, std::string detail) {
    return {Finding::Verdict::good, std::move(subject), std::move(detail), {}};
}

Finding as_finding(const Error& error, Finding::Verdict verdict) {
    return {verdict, error.subject, error.what, error.hint};
}

void examine_privileges(std::vector<Finding>& findings, bool search_modules) {
    const auto missing = missing_privileges(search_modules);
    for (const Privilege& privilege : missing) {
        findings.push_back({Finding::Verdict::bad, privilege.name,
                            std::string("is missing; it is needed ") + privilege.reason,
                            "run it as root, sudo twinlog …, or with this capability"});
    }
    if (missing.empty()) findings.push_back(good("rights", "all capabilities that are needed"));
}

Finding examine_backend(const Result<BackendPlan>& plan, std::string found) {
    const std::string subject = "backend " + std::string(backend_name(plan->backend));
    if (plan->caveat.empty()) return good(subject, std::move(found));
    return {Finding::Verdict::limited, subject, found + "; " + plan->caveat, "none is known"};
}

Finding examine_tracepoint(const Result<BackendPlan>& plan) {
    if (!plan) return as_finding(plan.error(), Finding::Verdict::bad);
    return examine_backend(plan, "loads; every system call of the host costs some tens of ns more");
}

Finding examine_fentry(const Result<BackendPlan>& plan) {
    if (!plan) return as_finding(plan.error(), Finding::Verdict::limited);
    if (plan->left_calls.empty()) {
        return examine_backend(plan, "loads; only system calls that write cost more");
    }
    return examine_backend(plan, "loads; " + std::to_string(plan->left_calls.size()) +
                                     " system calls have no function to hook and are seen at their "
                                     "exit, for which all calls pay");
}

Finding examine_choice(const KernelProbe& kernel) {
    const auto plans = plan_backends(Backend::automatic, kernel);
    if (!plans) return as_finding(plans.error(), Finding::Verdict::bad);
    return good("--backend auto", "takes " + std::string(backend_name(plans->front().backend)));
}

// The kernel's functions by bcc's reader of /proc/kallsyms. Addresses may be hidden; names are not.
struct FunctionSearch {
    const char* name;
    bool found;
};

bool kernel_has_function(const char* name) {
    FunctionSearch search{name, false};
    const auto look = [](const char* symbol, const char* module, std::uint64_t, void* payload) {
        auto* wanted = static_cast<FunctionSearch*>(payload);
        const bool in_kernel = module == nullptr || std::strcmp(module, "kernel") == 0;
        if (in_kernel && std::strcmp(symbol, wanted->name) == 0) wanted->found = true;
    };
    bcc_procutils_each_ksym(look, &search);
    return search.found;
}

Finding examine_pipe_functions() {
    for (const char* name : {"anon_pipe_write", "pipe_write"}) {
        if (kernel_has_function(name)) return good("pipe writes", std::string("end in ") + name);
    }
    return {Finding::Verdict::limited, "pipe writes", "no known function of the kernel does them",
            "report it, with `uname -r`"};
}

// What daemons left that ended without a word: bounded, but of use only to the next one.
Finding examine_pins() {
    std::string left;
    for (const std::string& directory : Pins::all()) {
        const UniqueFd map(bpf_obj_get((directory + "/about").c_str()));
        const std::uint32_t zero = 0;
        tw_about about{};
        const bool known = map.valid() && bpf_map_lookup_elem(map.get(), &zero, &about) == 0;
        if (known && ::kill(static_cast<pid_t>(about.pid), 0) == 0) continue;
        left += (left.empty() ? "" : ", ") + directory;
    }
    if (left.empty()) return good("dead daemons", "none left programs or records in the kernel");
    return {Finding::Verdict::limited, "dead daemons",
            "programs and records of one still fill a ring: " + left,
            "`twinlog run` with its --store goes on with them, `twinlog stop` writes them to the "
            "logs and "
            "ends it"};
}

// A disk may stall for longer than it takes to fill the ring.
Finding examine_memory() {
    const auto memory = memory_for_spills();
    if (memory) {
        return good("bursts", "wait in memory, at most " + format_size(memory->limit) + " in " +
                                  memory->path + ", and then on the store's disk");
    }
    return {Finding::Verdict::limited, "bursts",
            memory.error().message() +
                ": what is more than the ring holds waits on the store's disk, and is lost while "
                "that stalls",
            "a tmpfs there, or a larger --ring-size"};
}

Finding examine_priority() {
    Status taken;
    std::thread([&taken] { taken = run_before_others(); }).join();
    if (taken) return good("priority", "the thread that empties the ring comes before others");
    return {
        Finding::Verdict::limited, "priority",
        "real-time priority is refused: on a busy host the ring may not be emptied in time, which "
        "loses bytes",
        "CAP_SYS_NICE, or an RLIMIT_RTPRIO of 1 (LimitRTPRIO=1 in a unit)"};
}

bool file_system_known(std::string_view name) {
    const auto known = read_file("/proc/filesystems", 65536);
    return known && known->find("\t" + std::string(name) + "\n") != std::string::npos;
}

Finding examine_cgroups() {
    if (file_system_known("cgroup2")) return good("cgroups", "version 2 is known to the kernel");
    if (file_system_known("cgroup"))
        return good("cgroups", "version 1 only: the memory group names containers");
    return {Finding::Verdict::limited, "cgroups",
            "none: containers are told by their pid namespace", "a kernel with CONFIG_CGROUPS=y"};
}

}  // namespace

Result<Features> probe_features(const KernelProbe& kernel) {
    Features features;
    features.user_dynptr = kernel.knows_function("bpf_probe_read_user_dynptr");
    features.rdonly_cast = kernel.knows_function("bpf_rdonly_cast");
    if (auto capable = check_privileges(!features.user_dynptr); !capable) {
        return pass_on(std::move(capable));
    }
    return features;
}

std::vector<Finding> examine_host() {
    std::vector<Finding> findings;
    auto kernel = KernelProbe::open();
    const bool user_dynptr = kernel && kernel->knows_function("bpf_probe_read_user_dynptr");
    examine_privileges(findings, kernel && !user_dynptr);
    if (!kernel) {
        findings.push_back(as_finding(kernel.error(), Finding::Verdict::bad));
        return findings;
    }
    findings.push_back(good("type information (BTF)", "is there"));
    findings.push_back(examine_tracepoint(plan_tracepoint(*kernel)));
    findings.push_back(examine_fentry(plan_fentry(*kernel)));
    findings.push_back(examine_choice(*kernel));
    if (user_dynptr) {
        findings.push_back(good("copies", "from user memory straight into the ring"));
    } else {
        findings.push_back(
            {Finding::Verdict::limited, "copies",
             "go through a buffer in between, in steps of 16 KiB: large writes cost more",
             "Linux 6.16 or later"});
    }
    findings.push_back(examine_pipe_functions());
    findings.push_back(examine_cgroups());
    findings.push_back(examine_memory());
    findings.push_back(examine_priority());
    findings.push_back(examine_pins());
    return findings;
}

}  // namespace twinlog
