#include "daemon/store_trouble.h"

#include <utility>

#include "store/store.h"

namespace twinlog {

namespace {

// A disk that is filled by others has room for a file now and then.
constexpr std::uint64_t rest_ns = 10'000'000'000;

}  // namespace

std::optional<std::string> StoreTrouble::failed(const std::string& who, const Error& error,
                                                std::uint64_t now_ns) {
    const std::string text = who + ": " + error.message();
    // It is not the disk.
    if (error.code == 0) return text;
    last_ns_ = now_ns;
    if (!told_.insert(error.code).second) return std::nullopt;
    const std::string way_out = error.hint.empty() ? " — " + store_way_out(error.code) : "";
    return text + way_out +
           "; what cannot be written becomes gaps, and this is not said again until the store "
           "works";
}

bool StoreTrouble::is_over(std::uint64_t now_ns) {
    if (told_.empty() || now_ns - last_ns_ < rest_ns) return false;
    told_.clear();
    return true;
}

}  // namespace twinlog
