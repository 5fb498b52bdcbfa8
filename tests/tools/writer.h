/* Ways to put bytes on stdout and stderr, one named case each; `writer CASE [ARGS]` runs one. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct writer_case {
    const char* name;
    const char* arguments;
    int (*run)(int argc, char** argv); /* argv[0] is the case's name; returns the exit status */
};

/* Each ends with a case whose name is NULL. */
extern const struct writer_case syscall_cases[];
extern const struct writer_case content_cases[];
extern const struct writer_case file_cases[];
extern const struct writer_case process_cases[];
extern const struct writer_case random_cases[];
extern const struct writer_case move_cases[];
extern const struct writer_case ring_cases[];
extern const struct writer_case memory_cases[];
extern const struct writer_case claim_cases[];
extern const struct writer_case puppet_cases[];

/* Exit status where the kernel or a sandbox does not let the case be. */
enum { CANNOT_RUN = 77 };

/* Writes all of it with as many write(2)s as it takes; EINTR and EAGAIN are waited out. */
void write_all(int fd, const void* data, size_t size);
/* Formats one piece of at most 8191 bytes and writes it with one write(2). */
__attribute__((format(printf, 2, 3))) void say(int fd, const char* format, ...);
/* Prints what failed with errno to stderr and ends with status 3. */
_Noreturn void die(const char* what);
/* Allocated, filled with printable text that depends on `seed` and has no newline. */
char* text(size_t size, unsigned seed);
/* argv[index] as a number, or the fallback where it is absent. */
long number(int argc, char** argv, int index, long fallback);
