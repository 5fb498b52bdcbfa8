#include "capture/ring.h"

#include <linux/bpf.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace twinlog {

Result<Mapping> Mapping::map(int fd, std::size_t size, int protection, off_t offset) {
    void* memory = ::mmap(nullptr, size, protection, MAP_SHARED, fd, offset);
    if (memory == MAP_FAILED) return fail_errno("BPF map", "mapping it into memory");
    return Mapping(static_cast<std::byte*>(memory), size);
}

Mapping::Mapping(Mapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
}

Mapping::~Mapping() {
    if (data_ != nullptr) ::munmap(data_, size_);
}

namespace {

std::uint64_t load_position(const Mapping& page) {
    return std::atomic_ref(*reinterpret_cast<std::uint64_t*>(page.data()))
        .load(std::memory_order_seq_cst);
}

}  // namespace

Result<Ring> Ring::open(int map_fd, std::size_t size) {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    auto consumer = Mapping::map(map_fd, page, PROT_READ | PROT_WRITE, 0);
    if (!consumer) return pass_on(std::move(consumer));
    auto producer = Mapping::map(map_fd, page + 2 * size, PROT_READ, static_cast<off_t>(page));
    if (!producer) return pass_on(std::move(producer));
    Ring ring(std::move(*consumer), std::move(*producer), size);
    ring.rewind();
    return ring;
}

std::uint64_t Ring::produced() const {
    return load_position(producer_);
}

std::span<const std::byte> Ring::next(std::uint64_t end) {
    const std::byte* data = producer_.data() + (producer_.size() - 2 * size_);
    while (cursor_ < end) {
        const std::byte* record = data + (cursor_ & (size_ - 1));
        auto& head = *reinterpret_cast<std::uint32_t*>(const_cast<std::byte*>(record));
        std::uint32_t length = std::atomic_ref(head).load(std::memory_order_acquire);
        while ((length & BPF_RINGBUF_BUSY_BIT) != 0) {
            ::sched_yield();
            length = std::atomic_ref(head).load(std::memory_order_acquire);
        }
        const bool discarded = (length & BPF_RINGBUF_DISCARD_BIT) != 0;
        length &= ~BPF_RINGBUF_DISCARD_BIT;
        cursor_ += (length + BPF_RINGBUF_HDR_SZ + 7U) & ~7ULL;
        if (!discarded) return {record + BPF_RINGBUF_HDR_SZ, length};
    }
    return {};
}

void Ring::touch(std::uint64_t from, std::uint64_t size) const {
    constexpr std::uint64_t page = 4096;
    const volatile std::byte* data = producer_.data() + (producer_.size() - 2 * size_);
    for (std::uint64_t at = from; at < std::min<std::uint64_t>(from + size, size_); at += page) {
        static_cast<void>(data[at]);
    }
}

std::uint64_t Ring::committed() const {
    return load_position(consumer_);
}

void Ring::commit() {
    std::atomic_ref(*reinterpret_cast<std::uint64_t*>(consumer_.data()))
        .store(cursor_, std::memory_order_release);
}

}  // namespace twinlog
