"""The Debian package as cpack makes it: what is in it, where, and what Debian's own tools say of it.
Needs no root and no kernel. That it installs, runs and goes away again is shown by tests/vm."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import harness
from harness import ROOT, cannot_run, run

BUILD = pathlib.Path(os.environ.get("BUILD", str(ROOT / "build/release")))
UNITS = ("twinlog.service", "twinlog-capture.service")
FILES = {
    "etc/twinlog/twinlog.conf": 0o644,
    "lib/systemd/system/twinlog.service": 0o644,
    "lib/systemd/system/twinlog-capture.service": 0o644,
    "usr/bin/twinlog": 0o755,
    "usr/share/bash-completion/completions/twinlog": 0o644,
    "usr/share/doc/twinlog/changelog.Debian.gz": 0o644,
    "usr/share/doc/twinlog/changelog.gz": 0o644,
    "usr/share/doc/twinlog/copyright": 0o644,
    "usr/share/doc/twinlog/examples/throttle.conf": 0o644,
    "usr/share/fish/vendor_completions.d/twinlog.fish": 0o644,
    "usr/share/lintian/overrides/twinlog": 0o644,
    "usr/share/man/man1/twinlog.1.gz": 0o644,
    "usr/share/zsh/vendor-completions/_twinlog": 0o644,
}


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = pathlib.Path(tempfile.mkdtemp(prefix="twinlog-package-"))
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        run("cpack", "-B", cls.directory, cwd=BUILD, timeout=600)  # much to compress
        cls.package, = cls.directory.glob("*.deb")
        cls.root = cls.directory / "root"
        run("dpkg-deb", "-R", cls.package, cls.root)

    def test_files(self):
        found = {str(p.relative_to(self.root)): p.stat().st_mode & 0o777
                 for p in self.root.rglob("*") if p.is_file() and "DEBIAN" not in p.parts}
        self.assertEqual(found, FILES)
        self.assertEqual((self.root / "DEBIAN/conffiles").read_text(), "/etc/twinlog/twinlog.conf\n")

    def test_control(self):
        control = run("dpkg-deb", "-f", self.package).stdout.decode()
        version = run(self.root / "usr/bin/twinlog", "--version").stdout.decode().split()[1]
        self.assertIn(f"Version: {version}-1\n", control)
        depends = run("dpkg-deb", "-f", self.package, "Depends").stdout.decode()
        for library in ("libbpf1", "libcap-ng0", "libsystemd0", "libc6"):
            self.assertIn(library, depends)

    def test_lintian(self):
        lintian = shutil.which("lintian") or cannot_run("lintian is not installed")
        done = run(lintian, "--allow-root", "--fail-on=error,warning", self.package, check=False,
                   timeout=600)
        self.assertEqual((done.returncode, done.stdout.decode()), (0, ""))

    def test_units(self):
        tool = shutil.which("systemd-analyze") or cannot_run("systemd is not installed")
        for name in UNITS:
            unit = self.root / "lib/systemd/system" / name
            text = unit.read_text().replace("/usr/bin/twinlog", str(self.root / "usr/bin/twinlog"))
            copy = self.directory / name
            copy.write_text(text.replace("Documentation=man:twinlog(1)\n", ""))
        done = run(tool, "verify", *[self.directory / name for name in UNITS], check=False)
        self.assertEqual((done.returncode, done.stderr.decode()), (0, ""))

    def test_configuration(self):
        """Each option that the file offers is one that the program takes."""
        lines = (self.root / "etc/twinlog/twinlog.conf").read_text().splitlines()
        offered = [line[1:] for line in lines if line.startswith("#") and " = " in line]
        self.assertGreater(len(offered), 5)
        store = self.directory / "no-store"
        whole = self.directory / "whole.conf"
        whole.write_text("\n".join(line for line in offered if not line.startswith("store")))
        # Nobody left anything for this store: there is nothing to do once the options were read.
        for name in (whole, self.root / "etc/twinlog/twinlog.conf"):
            done = run(self.root / "usr/bin/twinlog", "run", "--finish", "--store", store, "--config", name,
                       check=False)
            self.assertIn(str(store), done.stderr.decode())
            self.assertEqual(done.returncode, 1)
        whole.write_text("no-such-option = 1\n")
        done = run(self.root / "usr/bin/twinlog", "run", "--finish", "--config", whole, check=False)
        self.assertEqual(done.returncode, 2)


if __name__ == "__main__":
    harness.main()
