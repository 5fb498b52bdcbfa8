/* What the parts of bench_tool share. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Prints what failed with errno to stderr and ends with status 3. */
_Noreturn void die(const char* what);
uint64_t wall_ns(void);
/* Time that this process has used, ns. */
uint64_t cpu_ns(void);
/* Writes all of it, or dies. */
void write_all(int fd, const void* data, size_t size);

/* Answers questions about the cost of system calls until there are no more; see calls.c. */
int run_calls(int argc, char** argv);
/* Prints lines on order; see lines.c. */
int run_lines(int argc, char** argv);
/* Many containers without a runtime; see crowd.c. */
int run_crowd(int argc, char** argv);
/* One of them, which only crowd.c starts. */
int run_member(int argc, char** argv);
/* Copies in memory; see copies.c. */
int run_copies(int argc, char** argv);
