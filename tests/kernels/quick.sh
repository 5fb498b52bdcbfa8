# Of cases.sh one for each way into a stream and out of it, for CI. Sourced by guest.sh.
# shellcheck shell=sh

# shellcheck disable=SC2016 # the container's shell expands it
check echo pipe 0 sh -c 'i=0; while [ $i -lt 300 ]; do echo line $i; echo error $i >&2; i=$((i+1)); done'
check write pipe 0 writer write 3000
check writev pipe 0 writer writev
check mib pipe 0 writer mib
check random pipe 0 writer random 7 60
check io-uring pipe 0 writer uring
check threads pipe 0 writer threads
check sendfile pipe 0 writer sendfile
check splice pipe 0 writer splice
check vmsplice pipe 0 writer vmsplice
check write fifo 0 writer write 3000
check write file 0 writer write 3000
check random file 0 writer random 7 60
