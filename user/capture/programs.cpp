#include "capture/programs.h"

#include <bpf/bpf.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace twinlog {

namespace {

// So many streams at once can always have some of the ring, whatever others hold.
constexpr std::uint64_t sure_shares = 256;

constexpr std::array<const char*, 3> iterators{"seed", "holders", "warm"};

constexpr const char* doctor_hint = "`twinlog doctor` says what this kernel allows";
constexpr const char* tracefs_hint =
    "tracefs is needed: mount -t tracefs tracing /sys/kernel/tracing";

}  // namespace

bpf_program* Programs::find(const char* name) const {
    return bpf_object__find_program_by_name(skeleton_->obj, name);
}

Result<Programs> Programs::load(const BackendPlan& plan, const Features& features,
                                std::uint64_t ring_size, const Pins& pins) {
    Programs programs(plan, pins);
    programs.skeleton_.reset(capture_bpf__open());
    if (!programs.skeleton_) return fail_errno("BPF programs", "opening them");
    capture_bpf& skeleton = *programs.skeleton_;
    if (pins.usable()) {
        // The names of libbpf's own are cut off and changed: they get ours.
        for (const auto& [map, name] : {std::pair{skeleton.maps.events, "events"},
                                        {skeleton.maps.output, "output"},
                                        {skeleton.maps.streams, "streams"},
                                        {skeleton.maps.states, "states"},
                                        {skeleton.maps.free_slots, "free_slots"},
                                        {skeleton.maps.runs, "runs"},
                                        {skeleton.maps.inits, "inits"},
                                        {skeleton.maps.about, "about"},
                                        {skeleton.maps.data, "counters"},
                                        {skeleton.maps.bss, "variables"}}) {
            bpf_map__set_pin_path(map, pins.path(name).c_str());
        }
    }
    bpf_map__set_max_entries(skeleton.maps.output, static_cast<std::uint32_t>(ring_size));
    skeleton.rodata->ring_size = ring_size;
    skeleton.rodata->stream_share = ring_size / sure_shares;
    skeleton.rodata->have_user_dynptr = features.user_dynptr;
    skeleton.rodata->have_rdonly_cast = features.rdonly_cast;

    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, skeleton.obj) {
        bpf_program__set_autoload(program, false);
    }
    const auto use = [&](const char* name) {
        bpf_program__set_autoload(programs.find(name), true);
    };
    std::for_each(iterators.begin(), iterators.end(), use);
    std::for_each(plan.run_programs.begin(), plan.run_programs.end(), use);
    std::for_each(plan.programs.begin(), plan.programs.end(), use);
    for (const CallHook& hook : plan.hooks) use(hook.program);
    for (const ReturnProgram& program : plan.returns) use(program.program);
    // Even with all hooks there: one may turn out not to attach.
    use(plan.exit_program);
    if (capture_bpf__load(&skeleton) != 0) {
        return fail_errno("BPF programs", "loading them", doctor_hint);
    }
    return programs;
}

bool Programs::is_pinned(const char* name) const {
    return pins_.usable() && ::access(pins_.path(name).c_str(), F_OK) == 0;
}

void Programs::trace(const SystemCall& call) {
    skeleton_->bss->traced_calls[call.compat ? 1 : 0][call.number / 64] |= 1ULL
                                                                           << (call.number % 64);
}

bool Programs::is_traced(const SystemCall& call) const {
    return (skeleton_->bss->traced_calls[call.compat ? 1 : 0][call.number / 64] >>
                (call.number % 64) &
            1) != 0;
}

Status Programs::attach(const char* name, const Attacher& attacher) {
    const std::string subject = std::string("BPF program ") + name;
    const std::string pin = pins_.path(name);
    Link link;
    if (is_pinned(name)) {
        link.reset(bpf_link__open(pin.c_str()));
        if (!link) return fail_errno(subject, "taking it over");
    } else {
        link.reset(attacher(find(name)));
        if (!link) {
            const bool no_tracefs =
                errno == ENOENT && bpf_program__type(find(name)) == BPF_PROG_TYPE_TRACEPOINT;
            return fail_errno(subject, "attaching it", no_tracefs ? tracefs_hint : doctor_hint);
        }
        if (pins_.usable() && bpf_link__pin(link.get(), pin.c_str()) != 0) {
            return fail_errno(subject, "pinning it to " + pin);
        }
    }
    bpf_link_info info{};
    std::uint32_t size = sizeof(info);
    if (bpf_obj_get_info_by_fd(bpf_link__fd(link.get()), &info, &size) != 0) {
        return fail_errno(subject, "looking at what it is attached to");
    }
    attached_.emplace_back(bpf_prog_get_fd_by_id(info.prog_id));
    links_.push_back(std::move(link));
    return {};
}

Status Programs::attach() {
    if (plan_.all_calls) {
        std::memset(skeleton_->bss->traced_calls, 0xff, sizeof(skeleton_->bss->traced_calls));
    }
    for (const SystemCall& call : plan_.left_calls) trace(call);
    bool exit_needed =
        plan_.all_calls || !plan_.left_calls.empty() || is_pinned(plan_.exit_program);
    for (const CallHook& hook : plan_.hooks) {
        // A daemon before this one could not attach it.
        if (is_traced(hook.call)) continue;
        if (auto attached = attach(hook.program, bpf_program__attach); !attached) {
            spdlog::warn("{} cannot be hooked, every system call pays for it: {}", hook.function,
                         attached.error().message());
            trace(hook.call);
            exit_needed = true;
        }
    }
    for (const ReturnProgram& returns : plan_.returns) {
        const auto to_functions = [&](const bpf_program* program) {
            LIBBPF_OPTS(bpf_kprobe_multi_opts, options);
            std::vector<const char*> functions = returns.functions;
            options.syms = functions.data();
            options.cnt = functions.size();
            options.retprobe = true;
            return bpf_program__attach_kprobe_multi_opts(program, nullptr, &options);
        };
        if (auto attached = attach(returns.program, to_functions); !attached) return attached;
    }
    std::vector<const char*> rest = plan_.programs;
    if (exit_needed) rest.push_back(plan_.exit_program);
    rest.insert(rest.end(), plan_.run_programs.begin(), plan_.run_programs.end());
    for (const char* name : rest) {
        if (auto attached = attach(name, bpf_program__attach); !attached) return attached;
    }
    detach_others();
    return {};
}

// A former daemon may have had another way to the same calls: both would record all that is
// written. Last, because of the two things that can happen to a write in between, being recorded
// twice is seen in the log, and not being recorded is not.
void Programs::detach_others() {
    bpf_program* program = nullptr;
    bpf_object__for_each_program(program, skeleton_->obj) {
        const char* name = bpf_program__name(program);
        if (!is_pinned(name)) continue;
        const std::string pin = pins_.path(name);
        const bool used = std::any_of(links_.begin(), links_.end(), [&](const Link& link) {
            const char* its = bpf_link__pin_path(link.get());
            return its != nullptr && pin == its;
        });
        if (!used) ::unlink(pin.c_str());
    }
}

void Programs::detach() {
    for (const Link& link : links_) {
        const char* pin = bpf_link__pin_path(link.get());
        if (pin != nullptr) ::unlink(pin);
    }
    links_.clear();
    attached_.clear();
}

Result<bool> Programs::run_iterator(bpf_program* program, std::chrono::milliseconds at_most) {
    const std::string name = std::string("BPF iterator ") + bpf_program__name(program);
    const Link link(bpf_program__attach_iter(program, nullptr));
    if (!link) return fail_errno(name, "attaching it");
    const UniqueFd fd(bpf_iter_create(bpf_link__fd(link.get())));
    if (!fd.valid()) return fail_errno(name, "starting it");
    const auto begin = std::chrono::steady_clock::now();
    std::array<char, 4096> block;
    for (;;) {
        const ssize_t got = ::read(fd.get(), block.data(), block.size());
        if (got == 0) return true;
        if (got < 0 && errno != EINTR && errno != EAGAIN)
            return fail_errno(name, "reading from it");
        if (std::chrono::steady_clock::now() - begin > at_most) return false;
    }
}

MissedRuns Programs::missed_runs() const {
    MissedRuns missed;
    for (const UniqueFd& program : attached_) {
        bpf_prog_info info{};
        std::uint32_t size = sizeof(info);
        if (bpf_obj_get_info_by_fd(program.get(), &info, &size) == 0) {
            missed[std::string(&info.name[0])] += info.recursion_misses;
        }
    }
    return missed;
}

}  // namespace twinlog
