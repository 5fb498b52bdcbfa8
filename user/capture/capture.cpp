#include "capture/capture.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/priority.h"
#include "base/unique_fd.h"
#include "capture/backlog.h"
#include "capture/features.h"
#include "capture/former.h"
#include "capture/libbpf_log.h"
#include "capture/programs.h"
#include "capture/ring.h"
#include "capture/spill_place.h"

namespace twinlog {

namespace {

// Handed out between two commits: small enough to stay in a processor's cache while it is taken
// apart, large enough that the files are written in few calls.
constexpr std::uint64_t drain_batch = 512ULL << 10;

// While something is being written the rings are looked at this often, and nobody pays for
// wake-ups.
constexpr std::chrono::milliseconds busy_tick{5};

// The ring is touched before it is used, in such steps, and for no longer than that: it is not
// worth more, and where it takes longer than a few milliseconds at all the machine is a strange
// one.
constexpr std::uint32_t warm_step = 256;  // pages
constexpr std::chrono::seconds warm_at_most{1};

// Between two walks of all tasks for containers that found no room, if the first one did not help.
constexpr std::chrono::seconds search_pause{10};

// Whoever has very many files open must not keep the recorder from its work.
constexpr std::chrono::seconds look_at_most{1};

// Passes of the seed program, enum seed_pass in bpf/run.bpf.h.
enum class SeedPass : std::uint32_t { none, mark, namespace_inits, others, pid };

// As of one moment, more or less: elements may come and go meanwhile.
template <class Value>
std::vector<std::pair<std::uint64_t, Value>> all_elements(int map) {
    std::vector<std::pair<std::uint64_t, Value>> elements;
    std::uint64_t key = 0;
    for (const std::uint64_t* before = nullptr; bpf_map_get_next_key(map, before, &key) == 0;
         before = &key) {
        Value value{};
        if (bpf_map_lookup_elem(map, &key, &value) == 0) elements.emplace_back(key, value);
    }
    return elements;
}

// What is known of a slot of the states map.
struct Slot {
    std::uint64_t stream = 0;  // 0: not in use
    StreamEnds settled;        // positions up to which on_settled was called
};

// A pass over the rings is complete when the output ring was read to `end`.
struct Pass {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::vector<std::pair<std::uint32_t, StreamEnds>> moved;  // slot, positions at its start
    std::vector<tw_end> ends;
};

// What a daemon goes on with is as the one before it had it.
void use_on(const FormerDaemon& former, CaptureOptions& options) {
    if (former.ring_size != options.ring_size) {
        spdlog::warn("the ring of the former daemon is used on: {} bytes", former.ring_size);
        options.ring_size = former.ring_size;
    }
    if (options.backend != Backend::automatic && options.backend != former.backend) {
        spdlog::warn("the backend of the former daemon is used on: {}",
                     backend_name(former.backend));
    }
    options.backend = former.backend;
}

// The first that loads. The error is the last one's.
Result<Programs> load_first(const std::vector<BackendPlan>& plans, const Features& features,
                            const CaptureOptions& options) {
    for (const BackendPlan& plan : plans) {
        auto programs = Programs::load(plan, features, options.ring_size, options.pins);
        if (programs || &plan == &plans.back()) return programs;
        spdlog::warn("backend {}: {}", backend_name(plan.backend), programs.error().message());
    }
    return fail("backend", "there is none");
}

}  // namespace

struct Capture::Impl : RingFill {
    Impl(CaptureOptions its_options, Programs its_programs)
        : options(std::move(its_options)), programs(std::move(its_programs)) {}

    CaptureOptions options;
    Programs programs;
    std::vector<Ring> rings;  // events; output until it is the backlog's
    std::optional<Mapping> states;
    std::optional<Mapping> holders;
    std::unique_ptr<Backlog> backlog;
    UniqueFd all_epoll;    // rings and the caller's fd
    UniqueFd other_epoll;  // the caller's fd alone
    int other_fd = -1;

    std::vector<Slot> slots{TW_STREAMS};
    std::vector<std::uint32_t> active;
    Pass pass;
    bool pass_open = false;
    bool busy = true;
    std::uint64_t starts_lost = 0;   // that were looked for
    std::uint64_t searched_for = 0;  // the last time
    std::chrono::steady_clock::time_point next_search;
    std::vector<tw_end> next_ends;
    bool taken_over = false;
    bool remove_pins = false;
    std::uint64_t instance = 0;
    std::uint32_t looks = 0;  // how many there were

    ~Impl() override {
        // Nobody moves anything any more.
        backlog.reset();
        if (!remove_pins) return;
        // In this order: without pins `twinlog stop` would find nothing to stop.
        if (auto removed = remove_spill_in_memory(options.pins); !removed) {
            spdlog::error("{}", removed.error().message());
        }
        if (auto removed = options.pins.remove(); !removed) {
            spdlog::error("{}", removed.error().message());
        }
    }

    Ring& events() { return rings[0]; }
    Ring& output() { return backlog ? backlog->ring() : rings[1]; }
    [[nodiscard]] const Ring& output() const { return backlog ? backlog->ring() : rings[1]; }
    [[nodiscard]] tw_state& state(std::uint32_t slot) const {
        return reinterpret_cast<tw_state*>(states->data())[slot];
    }
    [[nodiscard]] const tw_held& held(std::uint32_t slot) const {
        return reinterpret_cast<const tw_held*>(holders->data())[slot];
    }
    [[nodiscard]] std::uint64_t size() const override { return options.ring_size; }
    [[nodiscard]] std::uint64_t free() const override;
    [[nodiscard]] std::uint64_t held_by(const tw_file& file) const override;
    StreamEnds ends(std::uint32_t slot) {
        tw_state& now = state(slot);
        return {.written = std::atomic_ref(now.written).load(std::memory_order_seq_cst),
                .read = std::atomic_ref(now.read).load(std::memory_order_seq_cst),
                .at_end = std::atomic_ref(now.at_end).load(std::memory_order_seq_cst) != 0};
    }

    Status fill_free_slots();
    Status name_instance();
    void recount();
    Status run_seed(SeedPass pass, std::uint32_t pid);
    void warm_ring();
    template <class Change>
    void change_run(const tw_start& start, Change change);
    void take_events(CaptureSink& sink, std::vector<tw_end>& ends);
    void activate(const tw_file& file);
    void open_pass(CaptureSink& sink);
    void close_pass(CaptureSink& sink);
    void hand_out(CaptureSink& sink, const Spill::Slice& slice);
    void settle(CaptureSink& sink, std::uint32_t slot, const StreamEnds& ends);
};

template <class Change>
void Capture::Impl::change_run(const tw_start& start, Change change) {
    const BeforeOthers first;  // see Capture::release()
    const int runs = bpf_map__fd(programs->maps.runs);
    for (const std::uint64_t place : {start.place, start.pidns}) {
        tw_run known{};
        // The number of a namespace may be another one's by now.
        if (bpf_map_lookup_elem(runs, &place, &known) == 0 && known.run == start.run) {
            change(runs, place, known);
        }
    }
}

std::uint64_t Capture::Impl::free() const {
    // In this order, so that what is taken and given back in between is never counted twice.
    const std::uint64_t committed = output().committed();
    const std::uint64_t used = output().produced() - committed;
    return options.ring_size - std::min(used, options.ring_size);
}

std::uint64_t Capture::Impl::held_by(const tw_file& file) const {
    if (file.slot >= TW_STREAMS) return 0;
    tw_state& now = state(file.slot);
    if (std::atomic_ref(now.id).load(std::memory_order_relaxed) != file.stream) return 0;
    const std::uint64_t consumed = std::atomic_ref(now.consumed).load(std::memory_order_relaxed);
    const std::uint64_t reserved = std::atomic_ref(now.reserved).load(std::memory_order_relaxed);
    return reserved > consumed ? reserved - consumed : 0;
}

Status Capture::Impl::fill_free_slots() {
    const int map = bpf_map__fd(programs->maps.free_slots);
    // Last in, last out: the queue gives slots in this order, so a small host touches few pages.
    for (std::uint32_t slot = 0; slot < TW_STREAMS; ++slot) {
        if (bpf_map_update_elem(map, nullptr, &slot, BPF_ANY) != 0) {
            return fail_errno("BPF map free_slots", "filling it");
        }
    }
    return {};
}

Status Capture::Impl::name_instance() {
    const int map = bpf_map__fd(programs->maps.about);
    const std::uint32_t zero = 0;
    tw_about about{};
    if (bpf_map_lookup_elem(map, &zero, &about) != 0) {
        return fail_errno("BPF map about", "reading it");
    }
    if (about.layout != TW_LAYOUT) {
        if (auto filled = fill_free_slots(); !filled) return filled;
        about.layout = TW_LAYOUT;
        if (::getrandom(&about.instance, sizeof(about.instance), 0) !=
            static_cast<ssize_t>(sizeof(about.instance))) {
            return fail_errno("BPF map about", "naming the maps");
        }
    }
    about.backend = static_cast<std::uint32_t>(programs.backend());
    about.pid = static_cast<std::uint32_t>(::getpid());
    if (bpf_map_update_elem(map, &zero, &about, BPF_ANY) != 0) {
        return fail_errno("BPF map about", "filling it");
    }
    instance = about.instance;
    return {};
}

// A daemon that was killed between its two ways of giving back the ring's room has left counts that
// do not agree.
void Capture::Impl::recount() {
    // Read first: a record that comes meanwhile counts as not consumed, never as consumed twice.
    std::vector<std::uint64_t> reserved(TW_STREAMS);
    for (std::uint32_t slot = 0; slot < TW_STREAMS; ++slot) {
        if (state(slot).id != 0) reserved[slot] = std::atomic_ref(state(slot).reserved).load();
    }
    std::vector<std::uint64_t> waiting(TW_STREAMS);
    const std::uint64_t end = output().produced();
    for (auto bytes = output().next(end); !bytes.empty(); bytes = output().next(end)) {
        if (bytes.size() < sizeof(tw_data)) continue;
        const auto& record = *reinterpret_cast<const tw_data*>(bytes.data());
        if (record.slot < TW_STREAMS && state(record.slot).id == record.stream) {
            waiting[record.slot] += TW_RING_ROOM(bytes.size());
        }
    }
    output().rewind();
    for (std::uint32_t slot = 0; slot < TW_STREAMS; ++slot) {
        if (reserved[slot] == 0) continue;
        std::atomic_ref(state(slot).consumed)
            .store(reserved[slot] - std::min(reserved[slot], waiting[slot]));
    }
}

// See bpf/warm.bpf.h; the same for our own mapping of it. Without it everything is only slower.
void Capture::Impl::warm_ring() {
    bpf_map_info info{};
    std::uint32_t size = sizeof(info);
    if (bpf_obj_get_info_by_fd(bpf_map__fd(programs->maps.output), &info, &size) != 0) return;
    constexpr std::uint64_t page = 4096;
    programs->bss->warm_map = info.id;
    programs->bss->warm_pages = warm_step;
    const auto begin = std::chrono::steady_clock::now();
    for (std::uint64_t at = 0; at < info.max_entries; at += warm_step * page) {
        programs->bss->warm_from = at;
        if (!programs.run_iterator(programs->progs.warm)) break;
        output().touch(at, warm_step * page);
        if (std::chrono::steady_clock::now() - begin > warm_at_most) break;
    }
    programs->bss->warm_map = 0;
}

Status Capture::Impl::run_seed(SeedPass pass, std::uint32_t pid) {
    programs->bss->seed_pid = pid;
    programs->bss->seed_pass = static_cast<std::uint32_t>(pass);
    auto ran = programs.run_iterator(programs->progs.seed);
    programs->bss->seed_pass = static_cast<std::uint32_t>(SeedPass::none);
    if (!ran) return pass_on(std::move(ran));
    return {};
}

void Capture::Impl::activate(const tw_file& file) {
    if (file.slot >= slots.size()) return;
    Slot& slot = slots[file.slot];
    if (slot.stream == file.stream) return;          // the other stream's file too
    if (state(file.slot).id != file.stream) return;  // given up by a daemon that was killed then
    if (slot.stream == 0) active.push_back(file.slot);
    slot = Slot{.stream = file.stream, .settled = {.written = file.unread}};
}

void Capture::Impl::take_events(CaptureSink& sink, std::vector<tw_end>& ends) {
    const std::uint64_t end = events().produced();
    for (auto record = events().next(end); !record.empty(); record = events().next(end)) {
        const auto type = *reinterpret_cast<const std::uint16_t*>(record.data());
        if (type == TW_START && record.size() >= sizeof(tw_start)) {
            const auto& start = *reinterpret_cast<const tw_start*>(record.data());
            for (const tw_file& file : start.files) activate(file);
            sink.on_start(start);
        } else if (type == TW_END && record.size() >= sizeof(tw_end)) {
            ends.push_back(*reinterpret_cast<const tw_end*>(record.data()));
        }
    }
    events().commit();
}

// The order matters. ENDs are taken before the end of the pass is read, so all data that came
// before them is in it. STARTs are taken after, so every stream in it is known. What a stream had
// written when the pass began is in it, or lost.
void Capture::Impl::open_pass(CaptureSink& sink) {
    pass.ends = std::move(next_ends);
    next_ends.clear();
    take_events(sink, pass.ends);
    pass.moved.clear();
    for (const std::uint32_t slot : active) {
        const StreamEnds now = ends(slot);
        const StreamEnds& settled = slots[slot].settled;
        if (now.written > settled.written || now.read > settled.read ||
            now.at_end != settled.at_end) {
            pass.moved.emplace_back(slot, now);
        }
    }
    {
        const auto lock = backlog->lock();
        pass.begin = output().cursor();
        pass.end = output().produced();
    }
    take_events(sink, next_ends);
    pass_open = true;
}

void Capture::Impl::close_pass(CaptureSink& sink) {
    for (const auto& [slot, ends] : pass.moved) {
        if (slots[slot].stream != 0) settle(sink, slot, ends);
    }
    {
        const auto lock = backlog->lock();
        if (auto flushed = backlog->spill().flush(output().cursor()); !flushed) {
            spdlog::error("{}", flushed.error().message());
            for (const auto& [slot, ends] : pass.moved) slots[slot].settled = {};  // told again
        }
    }
    for (const tw_end& end : pass.ends) sink.on_end(end);
    pass_open = false;
}

// Behind the records that it is about.
void Capture::Impl::settle(CaptureSink& sink, std::uint32_t slot, const StreamEnds& ends) {
    const std::uint64_t stream = slots[slot].stream;
    {
        const auto lock = backlog->lock();
        const std::uint64_t run = state(slot).run;
        if (backlog->spill().waits(run)) {
            const SpillSettled settled{.at_end = ends.at_end ? std::uint16_t{1} : std::uint16_t{0},
                                       .slot = slot,
                                       .stream = stream,
                                       .written = ends.written,
                                       .read = ends.read};
            // Without room for it the next pass tells the same.
            if (backlog->spill().append(run, settled) == Spill::Appended::taken) {
                slots[slot].settled = ends;
            }
            return;
        }
    }
    slots[slot].settled = ends;
    sink.on_settled(slot, stream, ends);
}

void Capture::Impl::hand_out(CaptureSink& sink, const Spill::Slice& slice) {
    if (slice.skipped) {
        for (const Spill::Mark& mark : slice.marks) {
            if (mark.stream == 0 || mark.slot >= slots.size()) continue;
            if (slots[mark.slot].stream != mark.stream) continue;
            sink.on_skipped(mark.slot, mark.stream, {.written = mark.written, .read = mark.read});
        }
    }
    std::span<const std::byte> rest = slice.frames;
    while (const auto frame = first_frame(rest)) {
        rest = rest.subspan(frame->size);
        const std::span<const std::byte> bytes = frame->payload;
        if (bytes.size() < sizeof(SpillSettled)) continue;
        if (*reinterpret_cast<const std::uint16_t*>(bytes.data()) == SpillSettled::frame_type) {
            const auto& settled = *reinterpret_cast<const SpillSettled*>(bytes.data());
            if (settled.slot >= slots.size() || slots[settled.slot].stream != settled.stream) {
                continue;
            }
            sink.on_settled(
                settled.slot, settled.stream,
                {.written = settled.written, .read = settled.read, .at_end = settled.at_end != 0});
            continue;
        }
        const auto& record = *reinterpret_cast<const tw_data*>(bytes.data());
        if (bytes.size() < sizeof(tw_data) || record.slot >= slots.size() ||
            record.captured > bytes.size() - sizeof(tw_data) ||
            slots[record.slot].stream != record.stream) {
            continue;
        }
        sink.on_data(record, {reinterpret_cast<const char*>(bytes.data()) + sizeof(tw_data),
                              record.captured});
    }
}

Capture::Capture(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Capture::~Capture() = default;

Result<std::unique_ptr<Capture>> Capture::load(const CaptureOptions& asked) {
    log_what_libbpf_says();
    CaptureOptions options = asked;
    auto kernel = KernelProbe::open();
    if (!kernel) return pass_on(std::move(kernel));
    auto features = probe_features(*kernel);
    if (!features) return pass_on(std::move(features));

    // Kernels before 5.11 count BPF memory against this limit.
    const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
    ::setrlimit(RLIMIT_MEMLOCK, &unlimited);

    auto former = find_former(options.pins);
    if (!former) return pass_on(std::move(former));
    if (*former) use_on(**former, options);
    auto plans = plan_backends(options.backend, *kernel);
    if (!plans) return pass_on(std::move(plans));
    if (options.pins.usable() && !*former) {
        if (auto made = options.pins.make(); !made) return pass_on(std::move(made));
    }
    auto programs = load_first(*plans, *features, options);
    if (!programs) {
        if (options.pins.usable() && !*former) options.pins.remove();
        return pass_on(std::move(programs));
    }
    spdlog::debug("backend {}, by way of {}", backend_name(programs->backend()), programs->way());
    if (!programs->caveat().empty()) {
        spdlog::warn("backend {}: {}", backend_name(programs->backend()), programs->caveat());
    }
    auto impl = std::make_unique<Impl>(options, std::move(*programs));
    impl->taken_over = former->has_value();
    impl->remove_pins = options.pins.usable() && !impl->taken_over;
    capture_bpf& skeleton = *impl->programs.operator->();

    auto events = Ring::open(bpf_map__fd(skeleton.maps.events), TW_EVENTS_RING);
    if (!events) return pass_on(std::move(events));
    auto output = Ring::open(bpf_map__fd(skeleton.maps.output), options.ring_size);
    if (!output) return pass_on(std::move(output));
    impl->rings.push_back(std::move(*events));
    impl->rings.push_back(std::move(*output));
    auto states = Mapping::map(bpf_map__fd(skeleton.maps.states), TW_STREAMS * sizeof(tw_state),
                               PROT_READ | PROT_WRITE, 0);
    if (!states) return pass_on(std::move(states));
    auto held =
        Mapping::map(bpf_map__fd(skeleton.maps.held), TW_STREAMS * sizeof(tw_held), PROT_READ, 0);
    if (!held) return pass_on(std::move(held));
    impl->states = std::move(*states);
    impl->holders = std::move(*held);
    if (auto named = impl->name_instance(); !named) return pass_on(std::move(named));
    if (impl->taken_over) impl->recount();
    impl->warm_ring();
    auto spill = Spill::open(impl->options.spill_memory, impl->options.spill, impl->instance);
    if (!spill) return pass_on(std::move(spill));
    Ring ring = std::move(impl->rings[1]);
    impl->rings.pop_back();
    auto backlog =
        Backlog::open(std::move(ring), bpf_map__fd(skeleton.maps.output), options.ring_size,
                      std::span(&impl->state(0), TW_STREAMS), std::move(*spill));
    if (!backlog) return pass_on(std::move(backlog));
    impl->backlog = std::move(*backlog);

    impl->all_epoll = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
    impl->other_epoll = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
    epoll_event interest{.events = EPOLLIN, .data = {.fd = -1}};
    for (const bpf_map* ring : {skeleton.maps.events, skeleton.maps.output}) {
        if (::epoll_ctl(impl->all_epoll.get(), EPOLL_CTL_ADD, bpf_map__fd(ring), &interest) != 0) {
            return fail_errno("BPF ring", "waiting for it");
        }
    }
    return std::unique_ptr<Capture>(new Capture(std::move(impl)));
}

Status Capture::attach() {
    if (auto attached = impl_->programs.attach(); !attached) return attached;
    if (!impl_->options.new_containers || impl_->programs->bss->register_new) return {};
    // Old containers are marked first, so that an exec in one of them is not taken for its start.
    if (auto marked = impl_->run_seed(SeedPass::mark, 0); !marked) return marked;
    impl_->programs->bss->register_new = true;
    return {};
}

Status Capture::seed() {
    for (const SeedPass pass : {SeedPass::namespace_inits, SeedPass::others}) {
        if (auto seeded = impl_->run_seed(pass, 0); !seeded) return seeded;
    }
    return {};
}

Status Capture::seed_pid(std::uint32_t pid) {
    return impl_->run_seed(SeedPass::pid, pid);
}

Result<bool> Capture::wait(int other_fd, std::chrono::milliseconds at_most) {
    Impl& impl = *impl_;
    if (other_fd != impl.other_fd) {
        epoll_event interest{.events = EPOLLIN, .data = {.fd = other_fd}};
        for (const UniqueFd* epoll : {&impl.all_epoll, &impl.other_epoll}) {
            if (impl.other_fd >= 0) {
                ::epoll_ctl(epoll->get(), EPOLL_CTL_DEL, impl.other_fd, nullptr);
            }
            if (other_fd >= 0 &&
                ::epoll_ctl(epoll->get(), EPOLL_CTL_ADD, other_fd, &interest) != 0) {
                return fail_errno("file descriptor", "waiting for it");
            }
        }
        impl.other_fd = other_fd;
    }
    std::array<epoll_event, 4> ready{};
    auto* waits_flag = &impl.programs->bss->consumer_waits;
    bool waits = false;
    bool uncommitted = false;
    {
        const auto lock = impl.backlog->lock();
        waits = impl.backlog->waits();
        uncommitted = impl.backlog->uncommitted() > 0;
    }
    // Records that are kept uncommitted make the rings readable all the time.
    const bool busy = impl.busy || uncommitted || waits;
    // Said before the kernel checks the rings, so no record falls between. While the mover may
    // sleep the flag is up, else nobody would wake it before this thread runs again.
    if (!busy) {
        std::atomic_ref(*waits_flag).store(1, std::memory_order_seq_cst);
        impl.backlog->set_reader_busy(false);
        // One that came before has woken nobody, and epoll asks only those that were.
        const auto lock = impl.backlog->lock();
        waits = impl.output().produced() != impl.output().cursor();
    }
    auto timeout = busy ? std::min(busy_tick, at_most) : at_most;
    if (waits) timeout = {};
    const int count =
        ::epoll_wait(busy ? impl.other_epoll.get() : impl.all_epoll.get(), ready.data(),
                     static_cast<int>(ready.size()), static_cast<int>(timeout.count()));
    if (!busy) {
        impl.backlog->set_reader_busy(true);
        std::atomic_ref(*waits_flag).store(0, std::memory_order_relaxed);
    }
    if (count < 0 && errno != EINTR) return fail_errno("BPF ring", "waiting for it");
    for (int i = 0; i < count; ++i) {
        if (other_fd >= 0 && ready[i].data.fd == other_fd) return true;
    }
    return false;
}

std::uint64_t Capture::uncommitted() const {
    const auto lock = impl_->backlog->lock();
    return impl_->backlog->uncommitted();
}

bool Capture::waits_in_spill(std::uint64_t run) const {
    const auto lock = impl_->backlog->lock();
    return impl_->backlog->spill().waits(run);
}

bool Capture::spills() const {
    const auto lock = impl_->backlog->lock();
    return impl_->backlog->spill().waits();
}

std::uint64_t Capture::spilled() const {
    const auto lock = impl_->backlog->lock();
    return impl_->backlog->spill().used();
}

std::vector<std::pair<std::uint64_t, std::uint64_t>> Capture::uncommitted_runs() const {
    const auto lock = impl_->backlog->lock();
    return impl_->backlog->spill().uncommitted();
}

void Capture::commit(std::uint64_t run) {
    const auto lock = impl_->backlog->lock();
    impl_->backlog->spill().commit(run);
}

void Capture::may_skip(std::uint64_t run, std::uint64_t kept) {
    const auto lock = impl_->backlog->lock();
    impl_->backlog->spill().set_keep(run, kept);
}

void Capture::tidy_spill() {
    const auto removed = [&] {
        const auto lock = impl_->backlog->lock();
        return impl_->backlog->spill().remove_if_empty();
    }();
    if (!removed) spdlog::error("{}", removed.error().message());
}

const RingFill& Capture::fill() const {
    return *impl_;
}

bool Capture::taken_over() const {
    return impl_->taken_over;
}

std::uint64_t Capture::instance() const {
    return impl_->instance;
}

bool Capture::adopt(const tw_file& file) {
    if (file.slot >= TW_STREAMS || impl_->state(file.slot).id != file.stream) return false;
    impl_->activate(file);
    return true;
}

void Capture::detach() {
    impl_->programs.detach();
}

void Capture::unpin() {
    impl_->remove_pins = impl_->options.pins.usable();
}

void Capture::keep_pins() {
    impl_->remove_pins = false;
}

bool Capture::drain(CaptureSink& sink) {
    Impl& impl = *impl_;
    Backlog& backlog = *impl.backlog;
    backlog.set_reader_busy(true);
    if (!impl.pass_open) impl.open_pass(sink);
    std::optional<Spill::Slice> slice;
    {
        const auto lock = backlog.lock();
        if (backlog.spills()) {
            auto next = backlog.spill().next();
            if (!next) spdlog::error("{}", next.error().message());
            if (next) slice = *next;
        } else {
            slice.emplace().frames = backlog.copy(impl.pass.end, drain_batch);
        }
        if (auto error = backlog.take_error()) spdlog::error("{}", error->message());
    }
    if (slice) {
        // Moved records may be of streams whose START came meanwhile.
        impl.take_events(sink, impl.next_ends);
        impl.hand_out(sink, *slice);
    }
    {
        const auto lock = backlog.lock();
        if (impl.output().cursor() < impl.pass.end) return false;
    }
    impl.busy =
        impl.pass.end != impl.pass.begin || !impl.pass.ends.empty() || !impl.next_ends.empty();
    impl.close_pass(sink);
    const std::uint64_t lost = impl.programs->bss->starts_lost - impl.starts_lost;
    const auto now = std::chrono::steady_clock::now();
    if (lost > 0 && (now >= impl.next_search || lost < impl.searched_for)) {
        spdlog::error("{} containers' starts found no room on their way here; looking for them",
                      lost);
        // Where there still is no room, that is counted again: of thousands that are found at once
        // fewer each time, where all streams are in use as many.
        impl.starts_lost += lost;
        impl.searched_for = lost;
        impl.next_search = now + search_pause;
        if (auto seeded = seed(); !seeded) spdlog::error("{}", seeded.error().message());
    }
    return true;
}

void Capture::commit() {
    const auto lock = impl_->backlog->lock();
    impl_->backlog->commit();
}

StreamEnds Capture::ends(std::uint32_t slot) const {
    return impl_->ends(slot);
}

std::uint64_t Capture::next_run() const {
    return std::atomic_ref(impl_->programs->data->next_run).load();
}

std::uint64_t Capture::run_of(std::uint32_t slot) const {
    return std::atomic_ref(impl_->state(slot).run).load();
}

void Capture::hand_on(const tw_file& file, std::uint64_t run) {
    tw_state& state = impl_->state(file.slot);
    // In this order: the new run's end says so of its own.
    std::atomic_ref(state.ended).store(0);
    std::atomic_ref(state.run).store(run);
}

void Capture::release(const tw_file& file) {
    Impl& impl = *impl_;
    if (file.slot >= impl.slots.size()) return;
    // Once, whoever asks and however often: a slot that is given twice would belong to two streams.
    std::uint64_t expected = file.stream;
    if (file.stream == 0 ||
        !std::atomic_ref(impl.state(file.slot).id).compare_exchange_strong(expected, 0)) {
        return;
    }
    // A kernel that preempts this thread in the middle of such a call skips the programs of others
    // on its processor until the call goes on.
    const BeforeOthers first;
    const int streams = bpf_map__fd(impl.programs->maps.streams);
    tw_stream stream{};
    // Somebody else may have the address by now.
    if (bpf_map_lookup_elem(streams, &file.key, &stream) == 0 && stream.id == file.stream) {
        bpf_map_delete_elem(streams, &file.key);
    }
    impl.slots[file.slot] = Slot{};
    std::erase(impl.active, file.slot);
    bpf_map_update_elem(bpf_map__fd(impl.programs->maps.free_slots), nullptr, &file.slot, BPF_ANY);
}

void Capture::forget_run(const tw_start& start) {
    {
        const auto lock = impl_->backlog->lock();
        impl_->backlog->spill().forget(start.run);
    }
    impl_->change_run(start, [](int runs, std::uint64_t place, const tw_run&) {
        bpf_map_delete_elem(runs, &place);
    });
}

void Capture::offer_again(const tw_start& start) {
    impl_->change_run(start, [](int runs, std::uint64_t place, tw_run known) {
        known.run = 0;
        bpf_map_update_elem(runs, &place, &known, BPF_EXIST);
    });
}

void Capture::abandon_unknown(const std::function<bool(std::uint64_t run)>& is_known) {
    const BeforeOthers first;  // see release()
    const int runs = bpf_map__fd(impl_->programs->maps.runs);
    for (const auto& [place, run] : all_elements<tw_run>(runs)) {
        if (run.run == 0 || is_known(run.run)) continue;
        tw_run again = run;
        again.run = 0;
        bpf_map_update_elem(runs, &place, &again, BPF_EXIST);
    }
    const int streams = bpf_map__fd(impl_->programs->maps.streams);
    for (const auto& [key, stream] : all_elements<tw_stream>(streams)) {
        if (stream.slot >= TW_STREAMS || is_known(impl_->state(stream.slot).run)) continue;
        tw_file file{};
        file.key = key;
        file.slot = stream.slot;
        file.stream = stream.id;
        release(file);
    }
}

bool StreamsLook::held(const tw_file& file, std::uint32_t flag) const {
    if (!complete) return true;
    const auto found = holders.find(file.slot);
    return found != holders.end() && found->second.stream == file.stream &&
           (found->second.flags & flag) != 0;
}

StreamEnds StreamsLook::ends_of(const tw_file& file) const {
    const auto found = ends.find(file.slot);
    return found != ends.end() ? found->second : StreamEnds{};
}

Result<StreamsLook> Capture::look() {
    Impl& impl = *impl_;
    StreamsLook look;
    look.at = boot_time_now();
    for (const std::uint32_t slot : impl.active) look.ends[slot] = impl.ends(slot);
    const std::uint32_t zero = 0;
    const tw_look fresh{
        .began = look.at, .files = 0, .number = ++impl.looks, .task = 0, .from = 0, .left = 0};
    if (bpf_map_update_elem(bpf_map__fd(impl.programs->maps.looks), &zero, &fresh, BPF_ANY) != 0) {
        return fail_errno("BPF map looks", "beginning a look");
    }
    auto complete = impl.programs.run_iterator(impl.programs->progs.holders, look_at_most);
    if (!complete) return pass_on(std::move(complete));
    look.complete = *complete;
    for (auto& [slot, ends] : look.ends) {
        const tw_held& held = impl.held(slot);
        if (held.look != fresh.number || held.stream != impl.slots[slot].stream) continue;
        look.holders.emplace(slot, held);
        const StreamEnds now = impl.ends(slot);
        if (now.written == ends.written && now.read == ends.read) ends.unread = held.unread;
    }
    return look;
}

MissedRuns Capture::missed_runs() const {
    return impl_->programs.missed_runs();
}

}  // namespace twinlog
