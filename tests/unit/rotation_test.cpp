// The files of one log: which of them are renamed and which thrown away. What is in them and how
// they come to be is in log_writer_test.cpp and log_faults_test.cpp.
#include "store/rotation.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "format/docker_local.h"
#include "real_files.h"
#include "temp_directory.h"

using namespace twinlog;
namespace fs = std::filesystem;

namespace {

// Somebody removes the log's second file right before it is renamed.
class Meddled : public RealFiles {
 public:
    Status rename(const std::string& from, const std::string& to) override {
        if (from.ends_with(".2")) fs::remove(from);
        return RealFiles::rename(from, to);
    }
};

class Log {
 public:
    void make(std::initializer_list<const char*> suffixes) const {
        for (const char* suffix : suffixes) std::ofstream(path() + suffix) << "was" << suffix;
    }
    [[nodiscard]] std::string path() const { return directory_ / "log"; }
    [[nodiscard]] std::set<std::string> files() const {
        std::set<std::string> names;
        for (const auto& item : fs::directory_iterator(directory_.path())) {
            names.insert(item.path().filename().string());
        }
        return names;
    }
    [[nodiscard]] std::string contents(const std::string& suffix) const {
        std::string text;
        std::getline(std::ifstream(path() + suffix), text);
        return text;
    }

 private:
    TempDirectory directory_;
};

using Names = std::set<std::string>;

}  // namespace

TEST_CASE("rotation: cleaning keeps as many files as the log may have", "[rotation]") {
    const Log log;
    log.make({"", ".1.gz", ".2", ".3.gz", ".4", ".gz.tmp", ".old.tmp", ".10", ".2x"});
    Rotation rotation(real_file_system(), log.path(), 4, docker_local::format());
    REQUIRE(rotation.clean());
    CHECK(log.files() == Names{"log", "log.1.gz", "log.2", "log.3.gz", "log.2x"});
    SECTION("once: later ones are in the making") {
        log.make({".gz.tmp"});
        REQUIRE(rotation.clean());
        CHECK(log.files().contains("log.gz.tmp"));
    }
    SECTION("and then there is room for no other one") {
        REQUIRE(rotation.rotate());
        CHECK(log.files() == Names{"log.1", "log.2.gz", "log.3", "log.2x"});
        CHECK(log.contents(".3") == "was.2");
    }
}

TEST_CASE("rotation: of a log of one file only the live one stays", "[rotation]") {
    const Log log;
    log.make({"", ".1", ".2.gz"});
    Rotation rotation(real_file_system(), log.path(), 1, docker_local::format());
    REQUIRE(rotation.clean());
    CHECK(log.files() == Names{"log"});
}

TEST_CASE("rotation: a file that somebody removes meanwhile holds nothing up", "[rotation]") {
    const Log log;
    log.make({"", ".1", ".2", ".3"});
    Meddled files;
    Rotation rotation(files, log.path(), 6, docker_local::format());
    REQUIRE(rotation.rotate());
    CHECK(log.files() == Names{"log.1", "log.2", "log.4"});
    CHECK(log.contents(".1") == "was");
    CHECK(log.contents(".4") == "was.3");
}
