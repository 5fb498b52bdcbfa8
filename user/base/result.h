// Errors as values: what every fallible function of the project returns.
#pragma once

#include <cerrno>
#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace twinlog {

// Why something failed, in the four parts that a user needs.
struct Error {
    std::string subject;  // the thing: a path, a container, an option; may be empty
    std::string what;     // what was being done to it, or what is wrong with it
    int code = 0;         // errno of the failed call, 0 where no call failed
    std::string hint;     // the way out; may be empty

    // "subject: what: strerror(code) — hint", without the parts that are empty.
    [[nodiscard]] std::string message() const;
};

// tl::expected because clang 14 cannot use libstdc++'s std::expected; with C++23 this alias
// changes.
template <class T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

inline tl::unexpected<Error> fail(Error error) {
    return tl::unexpected<Error>(std::move(error));
}

inline tl::unexpected<Error> fail(std::string subject, std::string what, std::string hint = {}) {
    return fail(Error{std::move(subject), std::move(what), 0, std::move(hint)});
}

// Takes errno as it is at the call.
inline tl::unexpected<Error> fail_errno(std::string subject, std::string what,
                                        std::string hint = {}) {
    const int code = errno;
    return fail(Error{std::move(subject), std::move(what), code, std::move(hint)});
}

// Hands a failure on from a function that returns another type.
template <class T>
tl::unexpected<Error> pass_on(Result<T>&& failed) {
    return fail(std::move(failed).error());
}

}  // namespace twinlog
