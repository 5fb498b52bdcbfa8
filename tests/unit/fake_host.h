// A directory that looks like a host: /proc entries and files, made anew for each test.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace twinlog::test {

struct FakeProcess {
    std::uint32_t pid = 0;
    std::string comm = "sh";
    std::uint32_t ppid = 1;
    std::uint64_t start_ticks = 1000;
    char state = 'S';
    std::vector<std::string> arguments;
    std::string cgroup = "/";
    std::uint32_t uid = 0;
    std::uint32_t pidns = 1;
    std::uint32_t mntns = 1;
    std::string root = "/";  // below the fake host
    std::string cwd = "/";   // as a process would see it
    std::string environment;
};

class FakeHost {
 public:
    FakeHost() {
        std::string pattern =
            (std::filesystem::temp_directory_path() / "twinlog-test-XXXXXX").string();
        if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp");
        top_ = pattern;
        std::filesystem::create_directories(top_ / "proc/self/ns");
        std::filesystem::create_directories(top_ / "host");
        std::filesystem::create_symlink("pid:[1]", top_ / "proc/self/ns/pid");
        std::filesystem::create_symlink("mnt:[1]", top_ / "proc/self/ns/mnt");
    }
    FakeHost(const FakeHost&) = delete;
    FakeHost& operator=(const FakeHost&) = delete;
    FakeHost(FakeHost&&) = delete;
    FakeHost& operator=(FakeHost&&) = delete;
    ~FakeHost() {
        std::error_code ignored;
        std::filesystem::remove_all(top_, ignored);
    }

    [[nodiscard]] std::string proc() const { return top_ / "proc"; }
    [[nodiscard]] std::string root() const { return top_ / "host"; }

    // path is absolute on the fake host.
    void write(const std::string& path, std::string_view text) const {
        write_file(std::filesystem::path(root() + path), text);
    }

    void start(const FakeProcess& process) const {
        const std::filesystem::path directory = top_ / "proc" / std::to_string(process.pid);
        std::filesystem::remove_all(directory);
        std::filesystem::create_directories(directory / "ns");
        write_file(directory / "comm", process.comm + "\n");
        std::string stat = std::to_string(process.pid) + " (" + process.comm + ") " +
                           process.state + " " + std::to_string(process.ppid);
        for (int field = 5; field < 22; ++field) stat += " 0";
        write_file(directory / "stat", stat + " " + std::to_string(process.start_ticks) + " 0 0\n");
        std::string command;
        for (const std::string& argument : process.arguments) {
            command += argument;
            command += '\0';
        }
        write_file(directory / "cmdline", command);
        write_file(directory / "environ", process.environment);
        write_file(directory / "cgroup", "0::" + process.cgroup + "\n");
        const std::string uid = std::to_string(process.uid);
        write_file(directory / "status",
                   "Name:\tx\nUid:\t" + uid + "\t" + uid + "\t" + uid + "\t" + uid + "\n");
        std::filesystem::create_symlink("pid:[" + std::to_string(process.pidns) + "]",
                                        directory / "ns/pid");
        std::filesystem::create_symlink("mnt:[" + std::to_string(process.mntns) + "]",
                                        directory / "ns/mnt");
        std::filesystem::create_directories(root() + process.root);
        std::filesystem::create_symlink(root() + process.root, directory / "root");
        std::filesystem::create_symlink(process.cwd, directory / "cwd");
    }

    void end(std::uint32_t pid) const {
        std::filesystem::remove_all(top_ / "proc" / std::to_string(pid));
    }

 private:
    static void write_file(const std::filesystem::path& path, std::string_view text) {
        std::filesystem::create_directories(path.parent_path());
        std::ofstream(path, std::ios::binary) << text;
    }

    std::filesystem::path top_;
};

// 64 hex digits, the same character in each.
inline std::string full_id(char digit) {
    return std::string(64, digit);
}

}  // namespace twinlog::test
