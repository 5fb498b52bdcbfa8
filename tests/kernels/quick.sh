# Of cases.sh one for each way into a stream and out of it, for CI. Sourced by guest.sh.
# shellcheck shell=sh
# shellcheck disable=SC2034 # of guest.sh
only="echo/pipe write/pipe writev/pipe mib/pipe random/pipe io-uring/pipe threads/pipe sendfile/pipe
splice/pipe vmsplice/pipe write/fifo write/file random/file messages-32-bit/socket"
# shellcheck source=/dev/null
. /cases.sh
