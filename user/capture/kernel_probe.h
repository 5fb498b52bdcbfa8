// Asks the running kernel what it takes, by trying with programs of two instructions.
#pragma once

#include <bpf/bpf.h>

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"

struct btf;

namespace twinlog {

// Whether a thread can be made to give up its processor while it is in the kernel.
enum class Preemption : std::uint8_t { never, possible, unknown };

class KernelProbe {
 public:
    // Fails without the kernel's type information (BTF).
    static Result<KernelProbe> open();

    // Whether programs may call the helper.
    [[nodiscard]] static bool has_helper(bpf_func_id helper);
    // Whether the kernel's type information names the function.
    [[nodiscard]] bool knows_function(const char* name) const;
    // Whether a program can be loaded that runs when the function returns.
    [[nodiscard]] bool hooks_function(const char* name) const;
    // Whether there is a tracepoint of that name, and a program on it loads.
    [[nodiscard]] bool knows_tracepoint(const char* name) const;
    [[nodiscard]] bool takes_tracepoint(const char* name) const;
    // Whether such a program may sleep; then it may be interrupted by other threads, too.
    [[nodiscard]] bool lets_sleep_in_tracepoint(const char* name) const;
    // Whether programs on functions' returns may be many at a time, as many as threads are in them:
    // fprobes on the function graph's own stacks (Linux 6.14).
    [[nodiscard]] bool returns_are_unlimited() const;
    [[nodiscard]] static Preemption preemption();

 private:
    struct TypesDeleter {
        void operator()(btf* types) const;
    };

    explicit KernelProbe(btf* types) : types_(types) {}
    bool loads(bpf_attach_type attach, int target, std::uint32_t flags) const;

    std::unique_ptr<btf, TypesDeleter> types_;
};

}  // namespace twinlog
