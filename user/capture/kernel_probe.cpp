#include "capture/kernel_probe.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <sstream>
#include <string_view>
#include <utility>

#include "base/file_system.h"
#include "base/unique_fd.h"

namespace twinlog {

namespace {

constexpr std::string_view preempt_option = "preempt=";
constexpr std::size_t max_lockdown = 256;
constexpr std::size_t max_command_line = 65536;
constexpr std::size_t max_config = std::size_t{4} << 20;

// Where the host has it; where it has none, a debugfs without a place in the tree of files. A
// sandbox such as the unit's lets nobody mount, not even that.
UniqueFd open_debugfs() {
    UniqueFd mounted(::open("/sys/kernel/debug", O_PATH | O_DIRECTORY | O_CLOEXEC));
    struct statfs what {};
    if (mounted.valid() && ::fstatfs(mounted.get(), &what) == 0 && what.f_type == DEBUGFS_MAGIC) {
        return mounted;
    }
    const UniqueFd context(static_cast<int>(::syscall(SYS_fsopen, "debugfs", FSOPEN_CLOEXEC)));
    if (!context.valid() ||
        ::syscall(SYS_fsconfig, context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
        return {};
    }
    return UniqueFd(static_cast<int>(
        ::syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY)));
}

// "none (voluntary) full": what is in force stands in brackets.
std::string preemption_mode() {
    const UniqueFd debugfs = open_debugfs();
    if (!debugfs.valid()) return {};
    const UniqueFd file(::openat(debugfs.get(), "sched/preempt", O_RDONLY | O_CLOEXEC));
    std::array<char, 128> text{};
    const ssize_t got = file.valid() ? ::read(file.get(), text.data(), text.size()) : -1;
    if (got <= 0) return {};
    const std::string_view modes(text.data(), static_cast<std::size_t>(got));
    const auto open = modes.find('(');
    const auto close = modes.find(')', open);
    if (open == std::string_view::npos || close == std::string_view::npos) return {};
    return std::string(modes.substr(open + 1, close - open - 1));
}

// What the kernel booted with: its command line's last word, else what it was built for. Empty
// where somebody may have changed it since, which lockdown forbids, as it does to read what is in
// force.
std::string preemption_mode_at_boot(const char* release) {
    const auto lockdown = read_file("/sys/kernel/security/lockdown", max_lockdown);
    if (!lockdown || lockdown->find("[none]") != std::string::npos) return {};
    const auto line = read_file("/proc/cmdline", max_command_line);
    if (!line) return {};
    std::istringstream words(*line);
    std::string mode;
    for (std::string word; words >> word;) {
        if (word.starts_with(preempt_option)) mode = word.substr(preempt_option.size());
    }
    if (!mode.empty()) return mode;
    const auto config = read_file(std::string("/boot/config-") + release, max_config);
    if (!config) return {};
    for (const auto& [option, built_for] :
         {std::pair{"\nCONFIG_PREEMPT_NONE=y\n", "none"},
          std::pair{"\nCONFIG_PREEMPT_VOLUNTARY=y\n", "voluntary"}}) {
        if (config->find(option) != std::string::npos) return built_for;
    }
    return "other";
}

}  // namespace

void KernelProbe::TypesDeleter::operator()(btf* types) const {
    btf__free(types);
}

Result<KernelProbe> KernelProbe::open() {
    btf* types = btf__load_vmlinux_btf();
    if (types == nullptr) {
        return fail(Error{"/sys/kernel/btf/vmlinux", "reading the kernel's type information (BTF)",
                          errno, "a kernel built with CONFIG_DEBUG_INFO_BTF=y is needed"});
    }
    return KernelProbe(types);
}

bool KernelProbe::loads(bpf_attach_type attach, int target, std::uint32_t flags) const {
    if (target <= 0) return false;
    const std::array<bpf_insn, 2> program{
        bpf_insn{
            .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
        bpf_insn{.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
    LIBBPF_OPTS(bpf_prog_load_opts, options);
    options.expected_attach_type = attach;
    options.prog_flags = flags;
    options.attach_btf_id = static_cast<std::uint32_t>(target);
    const UniqueFd fd(bpf_prog_load(BPF_PROG_TYPE_TRACING, "twinlog_probe", "GPL", program.data(),
                                    program.size(), &options));
    return fd.valid();
}

bool KernelProbe::has_helper(bpf_func_id helper) {
    // Of the types that libbpf can ask for, the one that may call what tracing programs may.
    return libbpf_probe_bpf_helper(BPF_PROG_TYPE_KPROBE, helper, nullptr) == 1;
}

bool KernelProbe::knows_function(const char* name) const {
    return btf__find_by_name_kind(types_.get(), name, BTF_KIND_FUNC) > 0;
}

bool KernelProbe::hooks_function(const char* name) const {
    return loads(BPF_TRACE_FEXIT, btf__find_by_name_kind(types_.get(), name, BTF_KIND_FUNC), 0);
}

bool KernelProbe::knows_tracepoint(const char* name) const {
    const std::string type = std::string("btf_trace_") + name;
    return btf__find_by_name_kind(types_.get(), type.c_str(), BTF_KIND_TYPEDEF) > 0;
}

bool KernelProbe::takes_tracepoint(const char* name) const {
    const std::string type = std::string("btf_trace_") + name;
    return loads(BPF_TRACE_RAW_TP,
                 btf__find_by_name_kind(types_.get(), type.c_str(), BTF_KIND_TYPEDEF), 0);
}

bool KernelProbe::lets_sleep_in_tracepoint(const char* name) const {
    const std::string type = std::string("btf_trace_") + name;
    return loads(BPF_TRACE_RAW_TP,
                 btf__find_by_name_kind(types_.get(), type.c_str(), BTF_KIND_TYPEDEF),
                 BPF_F_SLEEPABLE);
}

bool KernelProbe::returns_are_unlimited() const {
    const int id = btf__find_by_name_kind(types_.get(), "fprobe", BTF_KIND_STRUCT);
    if (id <= 0) return false;
    const btf_type* fprobe = btf__type_by_id(types_.get(), static_cast<std::uint32_t>(id));
    const btf_member* members = btf_members(fprobe);
    return std::any_of(members, members + btf_vlen(fprobe), [&](const btf_member& member) {
        return std::string_view(btf__name_by_offset(types_.get(), member.name_off)) ==
               "hlist_array";
    });
}

Preemption KernelProbe::preemption() {
    utsname name{};
    if (::uname(&name) != 0) return Preemption::unknown;
    // init/version-timestamp.c: "#1 SMP PREEMPT_DYNAMIC Debian …"
    const std::string_view version = name.version;
    if (version.find("PREEMPT") == std::string_view::npos) return Preemption::never;
    if (version.find("PREEMPT_DYNAMIC") == std::string_view::npos) return Preemption::possible;
    std::string mode = preemption_mode();
    if (mode.empty()) mode = preemption_mode_at_boot(name.release);
    if (mode == "none" || mode == "voluntary") return Preemption::never;
    return mode.empty() ? Preemption::unknown : Preemption::possible;
}

}  // namespace twinlog
