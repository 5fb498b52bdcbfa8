// Compressed files of several members, and what stands behind them.
#include "store/gzip.h"

#include <fcntl.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "temp_directory.h"

using namespace twinlog;

namespace {

std::string compressed(std::string_view text) {
    const TempDirectory directory;
    put_file(directory / "plain", text);
    const UniqueFd from(::open((directory / "plain").c_str(), O_RDONLY));
    const UniqueFd to(::open((directory / "packed").c_str(), O_WRONLY | O_CREAT, 0600));
    const std::atomic<bool> stop = false;
    REQUIRE(gzip_copy(real_file_system(), from.get(), to.get(), "packed", {}, stop));
    return contents_of(directory / "packed");
}

struct Unpacked {
    std::string text;
    std::optional<std::uint64_t> damaged_at;
};

// Read piece by piece, and twice.
Unpacked unpacked(const std::string& bytes, std::size_t piece) {
    const TempDirectory directory;
    put_file(directory / "packed", bytes);
    const UniqueFd fd(::open((directory / "packed").c_str(), O_RDONLY));
    auto reader = GzipReader::open(fd.get(), "packed");
    REQUIRE(reader);
    Unpacked found;
    for (int turn = 0; turn < 2; ++turn) {
        const std::string before = std::exchange(found.text, {});
        std::string block(piece, '\0');
        for (;;) {
            const auto got = (*reader)->read_at(found.text.size(), block.data(), block.size());
            REQUIRE(got);
            if (*got == 0) break;
            found.text.append(block, 0, *got);
        }
        if (turn > 0) CHECK((found.text == before));
    }
    found.damaged_at = (*reader)->damaged_at();
    return found;
}

}  // namespace

TEST_CASE("gzip: all members are read, and what is none is damage", "[gzip]") {
    const std::string first(700'000, 'a');
    const std::string second = "the second";
    const std::string members = compressed(first) + compressed({}) + compressed(second);
    const std::size_t piece = GENERATE(std::size_t{7001}, std::size_t{1} << 20U);

    const Unpacked whole = unpacked(members, piece);
    CHECK((whole.text == first + second));
    CHECK_FALSE(whole.damaged_at);

    // As gzip(1) takes them: padding.
    const std::string zeros(300'000, '\0');
    const Unpacked padded = unpacked(members + zeros, piece);
    CHECK((padded.text == first + second));
    CHECK_FALSE(padded.damaged_at);
    const Unpacked between = unpacked(compressed(first) + zeros + compressed(second), piece);
    CHECK((between.text == first + second));
    CHECK_FALSE(between.damaged_at);

    for (const char* const garbage : {"x", "xy", "no member", "\x1f\x8b"}) {
        INFO(garbage);
        const Unpacked behind = unpacked(members + garbage, piece);
        CHECK((behind.text == first + second));
        CHECK(behind.damaged_at == members.size());
    }
    const std::string last = compressed(second);
    const Unpacked cut = unpacked(compressed(first) + last.substr(0, last.size() - 1), piece);
    CHECK((cut.text == first + second));
    CHECK(cut.damaged_at);
}
