// Which programs see what is written and read, and which of them this kernel takes.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "capture/kernel_probe.h"

namespace twinlog {

// Numbers are kept with pinned maps (tw_about::backend): never give one a new meaning.
enum class Backend : std::uint32_t {
    automatic = 0,   // the best one that this kernel takes and that sees everything
    tracepoint = 1,  // at the exit of all system calls
    fentry = 2,      // at the return of the functions that write and read
};

std::string_view backend_name(Backend backend);
// Fails for a name that is none of them.
Result<Backend> find_backend(const std::string& name);

// A system call as the programs on sys_exit know it.
struct SystemCall {
    bool compat = false;  // of a 32-bit program
    unsigned number = 0;
};

// A program in place of the exit of one system call.
struct CallHook {
    const char* function;  // of the kernel
    const char* program;
    SystemCall call;
};

// One program at the return of many functions.
struct ReturnProgram {
    const char* program;
    std::vector<const char*> functions;
};

// What a backend is made of here.
struct BackendPlan {
    Backend backend = Backend::tracepoint;
    std::vector<const char*> programs;      // to be attached
    std::vector<CallHook> hooks;            // to be attached, each for one system call
    std::vector<ReturnProgram> returns;     // to be attached
    std::vector<const char*> run_programs;  // to be attached last: these find containers
    const char* exit_program = nullptr;     // sees the exit of system calls
    const char* way = nullptr;           // how the kernel runs them: tp_btf, perf, fexit, fprobes
    bool all_calls = false;              // that program is for all of them, or
    std::vector<SystemCall> left_calls;  // for these, which no hook sees
    // What can make it miss something, for the operator; empty if nothing can.
    std::string caveat;
};

// By the first 15 characters of their names, as the kernel knows them.
using MissedRuns = std::map<std::string, std::uint64_t>;

// Of programs that run with preemption off, on a kernel that preempts threads inside of itself.
inline constexpr const char* preemption_caveat =
    "the kernel skips its programs on a processor where another thread was preempted in the middle "
    "of "
    "bpf(2) on a map; how many runs that were will be told";

// The plan of one backend. The error says why this kernel can't have it.
Result<BackendPlan> plan_tracepoint(const KernelProbe& kernel);
Result<BackendPlan> plan_fentry(const KernelProbe& kernel);
// The plans of the backend that is wanted, or of those that come into question, best first: what
// nothing can make miss anything, then the one that says more of what it missed. Where one does not
// load, the next one is tried. Never empty.
Result<std::vector<BackendPlan>> plan_backends(Backend wanted, const KernelProbe& kernel);

}  // namespace twinlog
