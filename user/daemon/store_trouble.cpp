#include "daemon/store_trouble.h"

#include <cerrno>

#include "store/store.h"

namespace twinlog {

namespace {

// A disk that is filled by others has room for a file now and then.
constexpr std::uint64_t rest_ns = 10'000'000'000;

}  // namespace

std::optional<std::string> StoreTrouble::failed(const std::string& who, const Error& error,
                                                std::uint64_t now_ns) {
    // It is not the disk.
    if (error.code == 0) return who + ": " + error.message();
    last_ns_ = now_ns;
    if (!told_.insert(error.code).second) return std::nullopt;
    Error whole = error;
    // Where something is missing it was taken away from the daemon: the store is the right one.
    if (error.code != ENOENT) {
        whole.hint += (error.hint.empty() ? "" : "; ") + store_way_out(error.code);
    }
    return who + ": " + whole.message() +
           "; what is lost meanwhile will be gaps in the logs. This is told once, until the store "
           "can be written to again";
}

bool StoreTrouble::is_over(std::uint64_t now_ns) {
    if (told_.empty() || now_ns - last_ns_ < rest_ns) return false;
    told_.clear();
    return true;
}

}  // namespace twinlog
