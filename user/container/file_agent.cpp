// Another process that reads files for this one.
#include "container/file_agent.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <type_traits>

#include "base/file_system.h"

namespace twinlog {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

// Each is a process that holds a few pages and a file of somebody's file system.
constexpr std::size_t max_abandoned = 4;
constexpr seconds first_pause{5};
constexpr seconds longest_pause{300};
constexpr int refill_share = 20;
// No path that the kernel takes is longer, and the socket's buffer takes all of it at once.
constexpr std::size_t max_request = 16384;
constexpr std::size_t max_answer = 256UL * 1024 * 1024;
constexpr char hello = 'T';

struct RequestHead {
    FileQuestion::Kind kind{};
    uid_t owner = 0;
    std::uint64_t limit = 0;
    std::uint32_t directory = 0;
    std::uint32_t path = 0;
    std::uint32_t host = 0;
};

struct AnswerHead {
    std::uint8_t failed = 0;
    std::int32_t code = 0;
    std::uint32_t text = 0;
};

static_assert(std::is_trivially_copyable_v<RequestHead> &&
              std::is_trivially_copyable_v<AnswerHead>);

template <class Head>
std::string bytes_of(const Head& head) {
    std::string bytes(sizeof(Head), '\0');
    std::memcpy(bytes.data(), &head, sizeof(Head));
    return bytes;
}

bool read_all(int fd, char* to, std::size_t size) {
    while (size > 0) {
        const ssize_t count = ::read(fd, to, size);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return false;
        to += count;
        size -= static_cast<std::size_t>(count);
    }
    return true;
}

std::string request_of(const FileQuestion& question) {
    RequestHead head;
    head.kind = question.kind;
    head.owner = question.owner;
    head.limit = question.limit;
    head.directory = static_cast<std::uint32_t>(question.directory.size());
    head.path = static_cast<std::uint32_t>(question.path.size());
    head.host = static_cast<std::uint32_t>(question.host.size());
    return bytes_of(head) + question.directory + question.path + question.host;
}

bool receive_question(int fd, FileQuestion& question) {
    std::array<char, sizeof(RequestHead)> bytes{};
    if (!read_all(fd, bytes.data(), bytes.size())) return false;
    RequestHead head;
    std::memcpy(&head, bytes.data(), bytes.size());
    question.kind = head.kind;
    question.owner = head.owner;
    question.limit = head.limit;
    question.directory.resize(head.directory);
    question.path.resize(head.path);
    question.host.resize(head.host);
    for (std::string* text : {&question.directory, &question.path, &question.host}) {
        if (!read_all(fd, text->data(), text->size())) return false;
    }
    return true;
}

// Signals are the daemon's affair: this one ends with it, and is not to miss its last questions.
pid_t spawn(int socket) {
    posix_spawn_file_actions_t actions{};
    posix_spawnattr_t attributes{};
    if (::posix_spawn_file_actions_init(&actions) != 0) return -1;
    if (::posix_spawnattr_init(&attributes) != 0) {
        ::posix_spawn_file_actions_destroy(&actions);
        return -1;
    }
    sigset_t all{};
    ::sigfillset(&all);
    ::posix_spawnattr_setsigmask(&attributes, &all);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    ::posix_spawn_file_actions_adddup2(&actions, socket, STDIN_FILENO);
    ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    std::string name(file_agent_name);
    std::array<char*, 2> arguments{name.data(), nullptr};
    pid_t pid = -1;
    const int error =
        ::posix_spawn(&pid, "/proc/self/exe", &actions, &attributes, arguments.data(), environ);
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&actions);
    return error == 0 ? pid : -1;
}

tl::unexpected<Error> not_answered(const FileQuestion& question, const char* why) {
    return fail(Error{question.path, why, no_answer, {}});
}

}  // namespace

FileAgent::FileAgent(AgentLimits limits, Clock clock)
    : limits_(limits), clock_(std::move(clock)), balance_(limits.account), balanced_at_(clock_()) {}

FileAgent::~FileAgent() {
    abandon();
    reap();
}

void FileAgent::abandon() {
    socket_.reset();
    ready_ = false;
    if (pid_ == 0) return;
    // If the request was not taken yet this ends it; else it stays until the file system ends.
    ::kill(pid_, SIGKILL);
    abandoned_.push_back(pid_);
    pid_ = 0;
}

void FileAgent::reap() {
    std::erase_if(abandoned_, [](pid_t pid) { return ::waitpid(pid, nullptr, WNOHANG) != 0; });
}

bool FileAgent::start() {
    std::array<int, 2> pair{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) return false;
    UniqueFd ours(pair[0]);
    const UniqueFd theirs(pair[1]);
    const pid_t pid = spawn(theirs.get());
    if (pid < 0) return false;
    pid_ = pid;
    socket_ = std::move(ours);
    return true;
}

bool FileAgent::receive(Time deadline, char* to, std::size_t size) {
    while (size > 0) {
        const auto left = std::chrono::ceil<milliseconds>(deadline - clock_());
        pollfd wait{socket_.get(), POLLIN, 0};
        const int ready =
            ::poll(&wait, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
        if (ready < 0 && errno == EINTR) continue;
        if (ready <= 0) return false;
        const ssize_t count = ::recv(socket_.get(), to, size, MSG_DONTWAIT);
        if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (count <= 0) return false;
        to += count;
        size -= static_cast<std::size_t>(count);
    }
    return true;
}

bool FileAgent::wait_ready(Time deadline) {
    if (ready_) return true;
    char said = 0;
    ready_ = receive(deadline, &said, 1) && said == hello;
    // One that is only slow to start is waited for again the next time.
    int status = 0;
    if (!ready_ && ::waitpid(pid_, &status, WNOHANG) == pid_) {
        pid_ = 0;
        socket_.reset();
    }
    return ready_;
}

void FileAgent::pause(const Whom& whom) {
    const Time now = clock_();
    std::erase_if(pauses_,
                  [now](const auto& item) { return item.second.until + longest_pause < now; });
    Pause& pause = pauses_.try_emplace(whom, Pause{now, first_pause}).first->second;
    pause.until = now + pause.next;
    pause.next = std::min(2 * pause.next, longest_pause);
}

void FileAgent::charge(Time since) {
    balance_ -= std::max<nanoseconds>(clock_() - since - limits_.free, nanoseconds{0});
}

Result<std::string> FileAgent::ask(const Whom& whom, const FileQuestion& question) {
    auto text = try_to_ask(whom, question);
    if (!text && text.error().code == no_answer) ++unanswered_;
    return text;
}

Result<std::string> FileAgent::try_to_ask(const Whom& whom, const FileQuestion& question) {
    const std::string request = request_of(question);
    if (request.size() > max_request) {
        return fail(Error{"a path", "cannot open", ENAMETOOLONG, {}});
    }
    reap();
    if (abandoned_.size() >= max_abandoned) return not_answered(question, "too many others hang");
    const Time now = clock_();
    balance_ =
        std::min<nanoseconds>(balance_ + (now - balanced_at_) / refill_share, limits_.account);
    balanced_at_ = now;
    if (balance_ < limits_.wait) return not_answered(question, "others took the time for it");
    const auto paused = pauses_.find(whom);
    if (paused != pauses_.end() && now < paused->second.until) {
        return not_answered(question, "its file system did not answer before");
    }
    if (pid_ == 0 && !start()) return not_answered(question, "there is no process to read it");
    const Time deadline = now + limits_.wait;
    if (!wait_ready(deadline)) {
        charge(now);
        return not_answered(question, "the process to read it is not ready");
    }
    auto text = question_within(deadline, request);
    charge(now);
    if (!text && text.error().code == no_answer) {
        abandon();
        pause(whom);
        return not_answered(question, "its file system does not answer");
    }
    if (paused != pauses_.end()) pauses_.erase(paused);
    return text.map_error([&question](Error error) {
        error.subject = question.path;
        return error;
    });
}

Result<std::string> FileAgent::question_within(Time deadline, const std::string& request) {
    const auto none = [] { return fail(Error{{}, {}, no_answer, {}}); };
    const ssize_t sent =
        ::send(socket_.get(), request.data(), request.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent != static_cast<ssize_t>(request.size())) return none();
    std::array<char, sizeof(AnswerHead)> bytes{};
    if (!receive(deadline, bytes.data(), bytes.size())) return none();
    AnswerHead head;
    std::memcpy(&head, bytes.data(), bytes.size());
    if (head.text > max_answer) return none();
    std::string text(head.text, '\0');
    if (!receive(deadline, text.data(), text.size())) return none();
    if (head.failed == 0) return text;
    return fail(Error{{}, std::move(text), head.code, {}});
}

FileAgents FileAgents::start() {
    // A disk of the host's may be slow, but its runtimes hang for nobody's pleasure.
    constexpr AgentLimits for_host{milliseconds{2000}, milliseconds{4000}, milliseconds{50}};
    constexpr AgentLimits for_others{milliseconds{200}, milliseconds{500}, milliseconds{0}};
    return {std::make_shared<FileAgent>(for_host), std::make_shared<FileAgent>(for_others)};
}

int serve_files() {
    ::prctl(PR_SET_NAME, file_agent_name.data());
    // As the daemon: nobody looks into what it has read.
    ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    // It may outlive the daemon, whose locks are free then.
    ::syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 0U);
    if (!write_all(STDIN_FILENO, {&hello, 1}, "daemon")) return 1;
    FileQuestion question;
    while (receive_question(STDIN_FILENO, question)) {
        const auto found = answer(question);
        AnswerHead head;
        const std::string& text = found ? *found : found.error().what;
        head.failed = found ? 0 : 1;
        head.code = found ? 0 : found.error().code;
        head.text = static_cast<std::uint32_t>(text.size());
        if (!write_all(STDIN_FILENO, bytes_of(head) + text, "daemon")) break;
    }
    return 0;
}

}  // namespace twinlog
