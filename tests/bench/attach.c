/* attach OBJECT: loads and attaches the BPF programs of an object file, says "attached" and keeps
 * them until its stdin ends. */
#include <bpf/libbpf.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char** argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: attach OBJECT\n");
        return 2;
    }
    struct bpf_object* object = bpf_object__open_file(argv[1], NULL);
    if (!object || bpf_object__load(object) != 0) {
        perror(argv[1]);
        return 1;
    }
    struct bpf_program* program;
    bpf_object__for_each_program(program, object) {
        if (!bpf_program__attach(program)) {
            perror(bpf_program__name(program));
            return 1;
        }
    }
    puts("attached");
    fflush(stdout);
    char end;
    while (read(STDIN_FILENO, &end, 1) > 0) {
    }
    return 0; /* the kernel detaches with the last descriptor */
}
