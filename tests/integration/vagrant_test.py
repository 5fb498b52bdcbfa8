"""The Vagrantfile, as far as Vagrant can tell without a box or a hypervisor. That its provisioning works
is shown by tests/vm. Needs no root, no kernel and no dockerd."""

import os
import pathlib
import shutil
import tempfile
import unittest

import harness
from harness import ROOT, cannot_run, run

# Vagrant validates a provider's settings only where it finds the provider, VirtualBox by this program.
VBOXMANAGE = "#!/bin/sh\necho 7.0.20r163906\n"


class Validate(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.vagrant = shutil.which("vagrant")
        if cls.vagrant:
            with tempfile.TemporaryDirectory(prefix="twinlog-vagrant-") as home:
                cls.plugins = run(cls.vagrant, "plugin", "list", env={**os.environ, "HOME": home}).stdout

    def setUp(self):
        if not self.vagrant:
            cannot_run("vagrant is not installed")
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="twinlog-vagrant-"))
        self.addCleanup(shutil.rmtree, self.directory)
        # A copy: one test has a mistake in it, and Vagrant writes beside what it reads.
        shutil.copytree(ROOT / "vagrant", self.directory / "tree/vagrant",
                        ignore=shutil.ignore_patterns(".vagrant"))
        program = self.directory / "VBoxManage"
        program.write_text(VBOXMANAGE)
        program.chmod(0o755)

    def validate(self, provider, **variables):
        return run(self.vagrant, "validate", check=False, cwd=self.directory / "tree/vagrant", env={
            "PATH": f"{self.directory}:{os.environ['PATH']}", "HOME": str(self.directory), "LC_ALL": "C.UTF-8",
            "VAGRANT_DEFAULT_PROVIDER": provider, **variables})

    def need_libvirt(self):
        if b"vagrant-libvirt" not in self.plugins:
            cannot_run("vagrant-libvirt is not installed")

    def assert_valid(self, done):
        self.assertEqual((done.returncode, done.stdout.decode(), done.stderr.decode()),
                         (0, "Vagrantfile validated successfully.\n", ""))

    def change(self, old, new):
        file = self.directory / "tree/vagrant/Vagrantfile"
        text = file.read_text()
        self.assertIn(old, text)
        file.write_text(text.replace(old, new))

    def assert_refused(self, done, reason):
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(reason, done.stdout.decode() + done.stderr.decode())

    def test_virtualbox(self):
        self.assert_valid(self.validate("virtualbox"))

    def test_libvirt(self):
        self.need_libvirt()
        for variables in ({}, {"LIBVIRT_DRIVER": "qemu"}, {"TWINLOG_DEB": "/payload/twinlog.deb"},
                          {"TWINLOG_BOX": "own", "TWINLOG_BOX_KERNEL": "/k", "TWINLOG_BOX_INITRD": "/i"}):
            with self.subTest(variables):
                self.assert_valid(self.validate("libvirt", **variables))

    def test_a_mistake_for_virtualbox(self):
        self.change("box.memory", "box.memories")
        self.assert_refused(self.validate("virtualbox"), "memories")

    def test_a_mistake_for_libvirt(self):
        self.need_libvirt()
        self.change("lv.memory", "lv.memories")
        self.assert_refused(self.validate("libvirt"), "memories")

    def test_a_script_that_is_not_there(self):
        (self.directory / "tree/vagrant/provision.sh").unlink()
        self.assert_refused(self.validate("virtualbox"), "provision.sh")


if __name__ == "__main__":
    harness.main()
