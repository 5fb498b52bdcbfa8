#!/bin/busybox sh
# Pid 1 of the test guest, in the initramfs: loads the modules that the disk needs, then goes on there.
# shellcheck shell=dash
/bin/busybox mount -t devtmpfs dev /dev
for module in /modules/*; do
    [ ! -e "$module" ] || /bin/busybox insmod "$module"
done
/bin/busybox mount -t ext4 /dev/vda /root
exec /bin/busybox switch_root /root /bin/sh /guest.sh
