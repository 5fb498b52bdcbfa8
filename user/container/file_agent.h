// Another process that reads files for this one. A file system that a container brought (FUSE), or
// one whose server is gone, may answer no request ever, and whoever asked it cannot be interrupted,
// be it by SIGKILL: a thread that waits for it would keep its whole process from ending, and with
// it all that the process holds open.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace twinlog {

// Error::code where there was no answer in time, or nobody to be asked: of the files it says
// nothing.
inline constexpr int no_answer = ETIMEDOUT;

// What is to be read; rooted_file.h has the meaning of each.
struct FileQuestion {
    enum class Kind : std::uint8_t { read, list, path_on_host, presence };

    Kind kind = Kind::read;
    std::string directory;
    uid_t owner = 0;
    std::string path;
    std::string host;
    std::uint64_t limit = 0;
};

// In this process, for as long as it takes.
Result<std::string> answer(const FileQuestion& question);

// The process whose files are asked for; the start guards against reuse of the pid.
struct Whom {
    std::uint32_t pid = 0;  // 0: the host
    std::uint64_t start_ticks = 0;

    auto operator<=>(const Whom&) const = default;
};

struct AgentLimits {
    std::chrono::milliseconds wait{};  // for one answer
    // For all answers together, at once; a twentieth of the time that passes is added again. Never
    // waits but for an answer that may take all of wait: who is well is not taken for one who
    // hangs.
    std::chrono::milliseconds account{};
    // What each answer may take without being charged to the account.
    std::chrono::milliseconds free{};
};

// Not for two threads at once: one of them would wait for the other's answer.
class FileAgent {
 public:
    using Clock = std::function<std::chrono::steady_clock::time_point()>;

    explicit FileAgent(AgentLimits limits, Clock clock = std::chrono::steady_clock::now);
    FileAgent(const FileAgent&) = delete;
    FileAgent& operator=(const FileAgent&) = delete;
    FileAgent(FileAgent&&) = delete;
    FileAgent& operator=(FileAgent&&) = delete;
    ~FileAgent();

    Result<std::string> ask(const Whom& whom, const FileQuestion& question);
    // How many questions had no_answer.
    [[nodiscard]] std::uint64_t unanswered() const { return unanswered_; }
    // Its process, 0 while there is none.
    [[nodiscard]] pid_t pid() const { return pid_; }

 private:
    using Time = std::chrono::steady_clock::time_point;
    // Until when somebody who did not answer is not asked.
    struct Pause {
        Time until;
        std::chrono::seconds next{};
    };

    Result<std::string> try_to_ask(const Whom& whom, const FileQuestion& question);
    Result<std::string> question_within(Time deadline, const std::string& request);
    bool start();
    bool wait_ready(Time deadline);
    bool receive(Time deadline, char* to, std::size_t size);
    void pause(const Whom& whom);
    void charge(Time since);
    // Leaves the process to its fate.
    void abandon();
    void reap();

    AgentLimits limits_;
    Clock clock_;
    UniqueFd socket_;
    pid_t pid_ = 0;
    bool ready_ = false;
    std::vector<pid_t> abandoned_;  // and not gone yet
    std::chrono::nanoseconds balance_;
    Time balanced_at_;
    std::map<Whom, Pause> pauses_;
    std::uint64_t unanswered_ = 0;
};

// The host's own runtimes have an agent, so that nobody else's files keep theirs from being read.
struct FileAgents {
    std::shared_ptr<FileAgent> host;
    std::shared_ptr<FileAgent> others;

    static FileAgents start();
};

// argv[0] of the agent's process, which is this same program.
inline constexpr std::string_view file_agent_name = "twinlog-files";
// All that process does; its exit status. Every program that has a FileAgent calls this first in
// its main() if it has been given that name.
int serve_files();

}  // namespace twinlog
