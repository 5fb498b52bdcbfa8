// Numbers the pieces of cut lines.
#include "format/pieces.h"

#include "base/hash.h"

namespace twinlog {

namespace {

constexpr std::string_view hex = "0123456789abcdef";

// 64 hex digits, as Docker's ids have.
std::string make_id(std::uint64_t count, std::int64_t time_ns) {
    const std::string seed = std::to_string(count) + '/' + std::to_string(time_ns) + '/';
    std::string id;
    for (int part = 0; part < 4; ++part) {
        std::uint64_t value = fnv1a(seed + std::to_string(part));
        for (int digit = 0; digit < 16; ++digit, value >>= 4U) id += hex[value & 0xfU];
    }
    return id;
}

}  // namespace

std::optional<Partial> Pieces::next(Source source, bool ends_line, std::int64_t time_ns) {
    Line& line = lines_[static_cast<std::size_t>(source)];
    if (line.ordinal == 0) {
        if (ends_line) return std::nullopt;
        line.id = make_id(++count_, time_ns);
    }
    const Partial piece{line.id, ++line.ordinal, ends_line};
    if (ends_line) line.ordinal = 0;
    return piece;
}

}  // namespace twinlog
