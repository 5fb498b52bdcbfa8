#include "capture/spill_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <type_traits>

namespace twinlog {

namespace {

constexpr std::array<char, 8> magic = {'T', 'W', 'S', 'P', 'I', 'L', 'L', '1'};
constexpr std::uint64_t head_size = 4096;
constexpr std::uint64_t entry_size = 128;
constexpr mode_t file_mode = 0600;
// Of a queue, ever; more is damage.
constexpr std::uint64_t most_chunks = std::uint64_t{1} << 40U;
// New chunks after which the disk is looked at again: 16 MiB, so little that looking costs nothing.
constexpr std::uint32_t chunks_a_check = 64;

// Of this machine alone, so its byte order is the machine's.
struct Head {
    std::array<char, 8> magic;
    std::uint64_t instance;
    std::uint32_t layout;
    std::uint32_t capacity;
};

static_assert(sizeof(Head) <= head_size && sizeof(SpillEntry) <= entry_size);
static_assert(std::is_trivially_copyable_v<SpillEntry>);

off_t entry_offset(std::uint32_t chunk) {
    return static_cast<off_t>(head_size + chunk * entry_size);
}

off_t chunk_offset(std::uint32_t capacity, std::uint32_t chunk) {
    const auto end = static_cast<std::uint64_t>(entry_offset(capacity));
    const std::uint64_t table = (end + head_size - 1) / head_size * head_size;
    return static_cast<off_t>(table + chunk * std::uint64_t{SpillFile::chunk_size});
}

bool is_valid(const SpillEntry& entry) {
    return entry.run != 0 && entry.number < most_chunks && entry.used <= SpillFile::chunk_size &&
           entry.first_frame % alignof(tw_data) == 0 &&
           (entry.first_frame == SpillFile::chunk_size || entry.first_frame < entry.used);
}

}  // namespace

Result<std::map<std::uint32_t, SpillEntry>> SpillFile::load() {
    std::map<std::uint32_t, SpillEntry> entries;
    if (place_.path.empty()) return entries;
    const std::string& path = place_.path;
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    if (!fd.valid()) {
        if (errno == ENOENT) return entries;
        return fail_errno(path, "opening it");
    }
    Head head{};
    struct stat status {};
    const ssize_t got = ::pread(fd.get(), &head, sizeof(head), 0);
    if (got < 0 || ::fstat(fd.get(), &status) != 0) return fail_errno(path, "reading it");
    const off_t table = chunk_offset(head.capacity, 0);
    if (got != sizeof(head) || head.magic != magic || head.layout != TW_LAYOUT ||
        head.instance != instance_ || status.st_size < table) {
        if (::unlink(path.c_str()) != 0) return fail_errno(path, "removing it");
        return entries;
    }
    capacity_ = head.capacity;
    fd_ = std::move(fd);
    touched_ = static_cast<std::uint32_t>(std::min<std::uint64_t>(
        capacity_, static_cast<std::uint64_t>(status.st_size - table) / chunk_size));
    std::vector<std::byte> bytes(touched_ * entry_size);
    if (::pread(fd_.get(), bytes.data(), bytes.size(), entry_offset(0)) !=
        static_cast<ssize_t>(bytes.size())) {
        return fail_errno(path, "reading its table");
    }
    for (std::uint32_t chunk = 0; chunk < touched_; ++chunk) {
        SpillEntry entry;
        std::memcpy(&entry, bytes.data() + chunk * entry_size, sizeof(entry));
        if (is_valid(entry)) {
            entries.emplace(chunk, entry);
        } else {
            free_.push_back(chunk);
        }
    }
    used_ = entries.size();
    return entries;
}

Result<std::uint64_t> SpillFile::room(int fd) const {
    struct statvfs disk {};
    if (::fstatvfs(fd, &disk) != 0) return fail_errno(place_.path, "asking what is free");
    const std::uint64_t free = disk.f_bavail * disk.f_frsize;
    return free - std::min(free, place_.left_free);
}

Error SpillFile::no_room() const {
    return Error{place_.path, "making it larger", ENOSPC,
                 "the last " + std::to_string(place_.left_free >> 20U) +
                     " MiB of that disk are left to others"};
}

Status SpillFile::create() {
    const std::string& path = place_.path;
    UniqueFd fd(
        ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, file_mode));
    if (!fd.valid()) return fail_errno(path, "making it");
    const auto give_up = [&](Error error) {
        ::unlink(path.c_str());
        return fail(std::move(error));
    };
    auto room = this->room(fd.get());
    if (!room) return give_up(room.error());
    // No more than there is room for: a queue's share is a part of that.
    const std::uint32_t capacity = chunks_of(std::min(place_.limit, *room));
    if (capacity == 0) return give_up(no_room());
    const Head head{magic, instance_, TW_LAYOUT, capacity};
    const off_t table = chunk_offset(capacity, 0);
    // With its blocks, so that the table can always be written.
    if ((::fallocate(fd.get(), 0, 0, table) != 0 && errno != EOPNOTSUPP) ||
        ::ftruncate(fd.get(), table) != 0 ||
        ::pwrite(fd.get(), &head, sizeof(head), 0) != sizeof(head)) {
        return give_up(Error{path, "making it", errno, {}});
    }
    fd_ = std::move(fd);
    capacity_ = capacity;
    touched_ = 0;
    used_ = 0;
    free_.clear();
    return {};
}

Result<std::optional<std::uint32_t>> SpillFile::take() {
    if (!fd_.valid()) {
        if (chunks_of(place_.limit) == 0) return std::nullopt;
        if (auto created = create(); !created) return pass_on(std::move(created));
    }
    if (used_ >= capacity_) return std::nullopt;
    if (!free_.empty()) {
        const std::uint32_t chunk = free_.back();
        free_.pop_back();
        ++used_;
        return chunk;
    }
    if (touched_ % chunks_a_check == 0) {
        auto room = this->room(fd_.get());
        if (!room) return pass_on(std::move(room));
        if (*room < chunk_size) return fail(no_room());
    }
    const off_t at = chunk_offset(capacity_, touched_);
    // Blocks first: a page that finds none later would take its bytes with it.
    if (::fallocate(fd_.get(), 0, at, chunk_size) != 0) {
        const bool unsupported = errno == EOPNOTSUPP;
        if (!unsupported || ::ftruncate(fd_.get(), at + static_cast<off_t>(chunk_size)) != 0) {
            return fail_errno(place_.path, "making it larger");
        }
    }
    ++used_;
    return touched_++;
}

void SpillFile::put_back(std::uint32_t chunk) {
    free_.push_back(chunk);
    --used_;
}

Status SpillFile::free(std::uint32_t chunk) {
    put_back(chunk);
    const std::uint64_t nobody = 0;
    const auto at = entry_offset(chunk) + static_cast<off_t>(offsetof(SpillEntry, run));
    if (::pwrite(fd_.get(), &nobody, sizeof(nobody), at) != sizeof(nobody)) {
        return fail_errno(place_.path, "writing its table");
    }
    return {};
}

Status SpillFile::write(std::uint32_t chunk, std::uint64_t at, std::span<const iovec> parts,
                        std::size_t size) {
    const ssize_t written = ::pwritev(fd_.get(), parts.data(), static_cast<int>(parts.size()),
                                      chunk_offset(capacity_, chunk) + static_cast<off_t>(at));
    if (written < 0) return fail_errno(place_.path, "writing it");
    if (static_cast<std::size_t>(written) != size) {
        return fail(Error{place_.path, "writing it", ENOSPC, {}});
    }
    return {};
}

Status SpillFile::write_entry(std::uint32_t chunk, const SpillEntry& entry) {
    if (::pwrite(fd_.get(), &entry, sizeof(entry), entry_offset(chunk)) != sizeof(entry)) {
        return fail_errno(place_.path, "writing its table");
    }
    return {};
}

Status SpillFile::read(std::uint32_t chunk, std::uint64_t at, std::span<std::byte> into) const {
    const ssize_t got = ::pread(fd_.get(), into.data(), into.size(),
                                chunk_offset(capacity_, chunk) + static_cast<off_t>(at));
    if (got < 0) return fail_errno(place_.path, "reading it");
    if (static_cast<std::size_t>(got) != into.size()) {
        return fail(place_.path, "it has become shorter");
    }
    return {};
}

Result<UniqueFd> SpillFile::remove() {
    if (!fd_.valid()) return UniqueFd();
    if (::unlink(place_.path.c_str()) != 0 && errno != ENOENT) {
        return fail_errno(place_.path, "removing it");
    }
    capacity_ = chunks_of(place_.limit);
    return std::move(fd_);
}

}  // namespace twinlog
