// Looking into pipes of others without doing anything else to them.
#include "capture/peek.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>

#include "base/unique_fd.h"
#include "temp_directory.h"

using namespace twinlog;

namespace {

constexpr std::uint32_t slot = 3;
constexpr std::uint64_t stream = 7;

class Pipe {
 public:
    Pipe() {
        std::array<int, 2> ends{};
        REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
        read_ = UniqueFd(ends[0]);
        write_ = UniqueFd(ends[1]);
    }

    void write(std::string_view text) const {
        REQUIRE(::write(write_.get(), text.data(), text.size()) ==
                static_cast<ssize_t>(text.size()));
    }
    [[nodiscard]] tw_file file() const {
        struct stat found {};
        REQUIRE(::fstat(read_.get(), &found) == 0);
        tw_file file{};
        file.kind = TW_KIND_PIPE;
        file.ino = found.st_ino;
        file.dev = ::gnu_dev_major(found.st_dev) << 20U | ::gnu_dev_minor(found.st_dev);
        file.slot = slot;
        file.stream = stream;
        return file;
    }
    [[nodiscard]] int fd() const { return write_.get(); }

 private:
    UniqueFd read_;
    UniqueFd write_;
};

StreamsLook look_that_found(std::initializer_list<int> descriptors) {
    tw_held held{};
    held.stream = stream;
    held.flags = TW_HOLDS_TO_WRITE;
    std::size_t i = 0;
    for (const int fd : descriptors) {
        held.by[i].pid = static_cast<std::uint32_t>(::getpid());
        held.by[i++].fd = static_cast<std::uint32_t>(fd);
    }
    StreamsLook look;
    look.holders.emplace(slot, held);
    return look;
}

}  // namespace

TEST_CASE("peek: the bytes stay in the pipe") {
    const Pipe pipe;
    pipe.write("waits");
    const StreamsLook look = look_that_found({pipe.fd()});
    CHECK(peek_into(pipe.file(), look) == "waits");
    CHECK(peek_into(pipe.file(), look) == "waits");
}

TEST_CASE("peek: what a descriptor was exchanged for is not opened") {
    const TempDirectory directory;
    const std::string path = directory / "other";
    const UniqueFd other(::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    REQUIRE(other.valid());
    const UniqueFd watch(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    REQUIRE(::inotify_add_watch(watch.get(), path.c_str(), IN_OPEN) >= 0);
    const Pipe pipe;
    pipe.write("waits");
    CHECK(peek_into(pipe.file(), look_that_found({other.get()})).empty());
    CHECK(peek_into(pipe.file(), look_that_found({other.get(), pipe.fd()})) == "waits");
    std::array<char, 256> events{};
    CHECK(::read(watch.get(), events.data(), events.size()) < 0);
}

TEST_CASE("look: only what was looked at as a whole says that nobody holds a stream") {
    const Pipe pipe;
    const tw_file file = pipe.file();
    StreamsLook look = look_that_found({pipe.fd()});
    CHECK(look.held(file, TW_HOLDS_TO_WRITE));
    CHECK_FALSE(look.held(file, TW_HOLDS_TO_READ));
    look.holders.at(slot).stream = stream + 1;
    CHECK_FALSE(look.held(file, TW_HOLDS_TO_WRITE));
    look.complete = false;
    CHECK(look.held(file, TW_HOLDS_TO_WRITE));
    CHECK(look.held(file, TW_HOLDS_TO_READ));
}
