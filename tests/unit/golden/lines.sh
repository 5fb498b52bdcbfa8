# What the containers of the golden files print; busybox's shell.
# shellcheck shell=sh
echo hello
echo
printf 'tab\there, quote", back\\slash, <html> & more, bell\a, escape\033[1m\n'
printf 'crlf\r\n'
printf 'nul\0 and del\177\n'
printf '\342\202\254 \360\237\230\200 \342\200\250 \342\200\251\n'
head -c 16390 /dev/zero | tr '\0' x
echo
sleep 1 # dockerd reads both streams at once: this keeps their order
echo error >&2
sleep 1
printf 'no newline'
