#!/bin/bash
# Makes a Debian 12 machine one with twinlog as a service beside Docker: builds the package from the
# tree, installs it, and shows what it does with one container. May be run again.
#   TWINLOG_TREE  where the tree is (default: the one that this script is part of)
#   TWINLOG_DEB   a package to install instead of building one
set -euo pipefail
# Vagrant runs a copy of this script, from elsewhere.
tree=${TWINLOG_TREE:-$(dirname "${BASH_SOURCE[0]}")/..}
# shellcheck source=lib.sh
. "$tree/scripts/lib.sh"

require_root "$@"
package=${TWINLOG_DEB:-}
if [[ -z $package ]]; then
    install_packages build docker apparmor package
    build release twinlog twinlog_descriptions
    rm -f "$root_dir"/build/release/*.deb
    (cd "$root_dir/build/release" && cpack)
    package="$(echo "$root_dir"/build/release/twinlog_*.deb)"
else
    install_packages docker apparmor
fi
[[ -f $package ]] || die "there is no package $package"

say "installing $package"
DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends --allow-downgrades --reinstall \
    -o Dpkg::Use-Pty=0 install "$(realpath "$package")" >&2
systemctl enable --quiet --now docker.service twinlog.service

say "a container whose log driver keeps nothing"
docker rm -f web >/dev/null 2>&1 || true
docker image rm twinlog-web >/dev/null 2>&1 || true
import_image /var/run/docker.sock twinlog-web
id="$(docker run -d --name web --log-driver none --network none twinlog-web \
    sh -c 'echo hello world; echo "this went to stderr" >&2; exec sleep infinity')"
say "$ docker logs web"
docker logs web >&2 || true
say "$ twinlog logs web"
# It is refused until the container's first record is in the store. By id: the web of an earlier
# provisioning has a log as well.
deadline=$((SECONDS + 60))
until twinlog logs "$id" 2>/dev/null | grep -x 'hello world'; do
    ((SECONDS < deadline)) || {
        journalctl --no-pager -u twinlog >&2
        die "twinlog does not have it"
    }
done
