#include "capture/features.h"

#include <bcc/bcc_proc.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

#include "base/file_system.h"
#include "base/unique_fd.h"
#include "capture/pins.h"
#include "capture/privileges.h"
#include "record.h"

namespace twinlog {

namespace {

struct BtfDeleter {
    void operator()(btf* types) const { btf__free(types); }
};
using Btf = std::unique_ptr<btf, BtfDeleter>;

constexpr const char* btf_path = "/sys/kernel/btf/vmlinux";

Finding good(std::string subject, std::string detail) {
    return {Finding::Verdict::good, std::move(subject), std::move(detail), {}};
}

// Whether a minimal program of this type loads: two instructions, return 0.
bool loads_program(bpf_prog_type type, bpf_attach_type attach, const char* target, const btf* types,
                   std::uint32_t flags = 0) {
    const std::array<bpf_insn, 2> program{
        bpf_insn{
            .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
        bpf_insn{.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
    LIBBPF_OPTS(bpf_prog_load_opts, options);
    options.expected_attach_type = attach;
    options.prog_flags = flags;
    if (target != nullptr) {
        const bool tracepoint = attach == BPF_TRACE_RAW_TP;
        const std::string name = tracepoint ? std::string("btf_trace_") + target : target;
        const int id = btf__find_by_name_kind(types, name.c_str(),
                                              tracepoint ? BTF_KIND_TYPEDEF : BTF_KIND_FUNC);
        if (id <= 0) return false;
        options.attach_btf_id = static_cast<std::uint32_t>(id);
    }
    const UniqueFd fd(
        bpf_prog_load(type, "twinlog_probe", "GPL", program.data(), program.size(), &options));
    return fd.valid();
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

Finding examine_tracepoints(const btf* types) {
    for (const char* name : {"sys_exit", "sched_process_exec", "sched_process_exit"}) {
        if (!loads_program(BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP, name, types)) {
            return {Finding::Verdict::bad, "backend tracepoint",
                    std::string("a program on ") + name + " does not load",
                    "a kernel of Linux 5.19 or later with CONFIG_BPF_EVENTS=y is needed"};
        }
    }
    // Where such programs may sleep, they may also be interrupted by another thread on the same
    // processor, and the kernel skips that one's run.
    if (loads_program(BPF_PROG_TYPE_TRACING, BPF_TRACE_RAW_TP, "sys_exit", types,
                      BPF_F_SLEEPABLE)) {
        return {Finding::Verdict::limited, "backend tracepoint",
                "loads, but this kernel skips runs of it now and then: what is written then is "
                "missing, and only the number of runs is known",
                "a kernel up to Linux 6.18"};
    }
    return good("backend tracepoint", "loads; every system call of the host costs some 75 ns more");
}

Finding examine_fentry(const btf* types) {
    if (loads_program(BPF_PROG_TYPE_TRACING, BPF_TRACE_FEXIT, "vfs_write", types)) {
        return good("fentry programs", "load; this version of twinlog has no use for them yet");
    }
    return {Finding::Verdict::limited, "fentry programs",
            "are refused, most likely by kernel lockdown: capture goes by the tracepoint backend",
            "none is needed"};
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
            "`twinlog run` with its --store goes on with them, `twinlog stop` removes them"};
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

Result<Features> probe_features() {
    if (auto capable = check_privileges(false); !capable) return pass_on(std::move(capable));
    const Btf types(btf__load_vmlinux_btf());
    if (!types) {
        return fail(Error{btf_path, "reading the kernel's type information (BTF)", errno,
                          "a kernel built with CONFIG_DEBUG_INFO_BTF=y is needed"});
    }
    Features features;
    features.user_dynptr =
        btf__find_by_name_kind(types.get(), "bpf_probe_read_user_dynptr", BTF_KIND_FUNC) > 0;
    if (auto capable = check_privileges(!features.user_dynptr); !capable) {
        return pass_on(std::move(capable));
    }
    return features;
}

std::vector<Finding> examine_host() {
    std::vector<Finding> findings;
    const Btf types(btf__load_vmlinux_btf());
    const int types_error = errno;
    const bool user_dynptr =
        types &&
        btf__find_by_name_kind(types.get(), "bpf_probe_read_user_dynptr", BTF_KIND_FUNC) > 0;
    examine_privileges(findings, types && !user_dynptr);
    if (!types) {
        findings.push_back(
            {Finding::Verdict::bad, "type information (BTF)",
             std::string(btf_path) + " cannot be read: " + std::strerror(types_error),
             "a kernel built with CONFIG_DEBUG_INFO_BTF=y"});
        return findings;
    }
    findings.push_back(good("type information (BTF)", btf_path));
    findings.push_back(examine_tracepoints(types.get()));
    findings.push_back(examine_fentry(types.get()));
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
    findings.push_back(examine_pins());
    return findings;
}

}  // namespace twinlog
