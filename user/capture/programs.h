// The BPF object of a capture: loads what a backend is made of, attaches it, and keeps it pinned
// where it may outlive the daemon.
#pragma once

#include <bpf/libbpf.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "capture/backend.h"
#include "capture/features.h"
#include "capture/pins.h"
// In this order: the skeleton uses the types of record.h.
// clang-format off
#include "record.h"
#include "capture.skel.h"
// clang-format on

namespace twinlog {

// Not thread-safe. Its destruction detaches what is not pinned.
class Programs {
 public:
    // ring_size: bytes. Maps that are pinned already are used on.
    static Result<Programs> load(const BackendPlan& plan, const Features& features,
                                 std::uint64_t ring_size, const Pins& pins);

    // Programs that are pinned already stay attached as they are; those that the plan has not are
    // detached.
    Status attach();
    // All of them; unpins them too.
    void detach();
    // Runs an iterator program, whose output is not looked at. False: there was not enough time for
    // all of it.
    Result<bool> run_iterator(bpf_program* program,
                              std::chrono::milliseconds at_most = std::chrono::milliseconds::max());
    // Program runs that the kernel skipped.
    [[nodiscard]] MissedRuns missed_runs() const;

    [[nodiscard]] Backend backend() const { return plan_.backend; }
    [[nodiscard]] const char* way() const { return plan_.way; }
    [[nodiscard]] const std::string& caveat() const { return plan_.caveat; }
    // Maps, iterators, and the variables of record.h.
    capture_bpf* operator->() const { return skeleton_.get(); }

 private:
    struct SkeletonDeleter {
        void operator()(capture_bpf* skeleton) const { capture_bpf__destroy(skeleton); }
    };
    struct LinkDeleter {
        void operator()(bpf_link* link) const { bpf_link__destroy(link); }
    };
    using Link = std::unique_ptr<bpf_link, LinkDeleter>;

    Programs(BackendPlan plan, Pins pins) : plan_(std::move(plan)), pins_(std::move(pins)) {}
    bpf_program* find(const char* name) const;
    [[nodiscard]] bool is_pinned(const char* name) const;
    void trace(const SystemCall& call);
    [[nodiscard]] bool is_traced(const SystemCall& call) const;
    using Attacher = std::function<bpf_link*(const bpf_program*)>;
    Status attach(const char* name, const Attacher& attacher);
    void detach_others();

    BackendPlan plan_;
    Pins pins_;
    std::unique_ptr<capture_bpf, SkeletonDeleter> skeleton_;
    std::vector<Link> links_;
    std::vector<UniqueFd> attached_;  // the links' programs, maybe of a former daemon
};

}  // namespace twinlog
