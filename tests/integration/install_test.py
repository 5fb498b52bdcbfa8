"""What `cmake --install` puts where, and that completions and the manual page tell what --help tells:
bash, zsh and fish are made to complete for real. Needs no root, no kernel and no dockerd."""

import json
import os
import pathlib
import pty
import re
import select
import shutil
import tempfile
import time
import unittest

import harness
from harness import ROOT, cannot_run, run

BUILD = pathlib.Path(os.environ.get("BUILD", str(ROOT / "build/release")))
BASH = "share/bash-completion/completions/twinlog"
ZSH = "share/zsh/site-functions/_twinlog"
FISH = "share/fish/vendor_completions.d/twinlog.fish"
MANUAL = "share/man/man1/twinlog.1"
COMMANDS = {"convert", "verify", "run", "stop", "trace", "logs", "ps", "stats", "doctor"}


def tool(name):
    return shutil.which(name) or cannot_run(f"{name} is not installed")


class Zsh:
    """An interactive zsh on a terminal of its own, which completes one line after the other."""

    def __init__(self, functions, environment):
        zsh = tool("zsh")
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.execve(zsh, [zsh, "-f", "-i"], {**environment, "TERM": "dumb"})
        self.send(f"PS1=; fpath=('{functions}' $fpath); autoload -U compinit; compinit -u -D; "
                  "told() { print -r -- \"<${BUFFER}>\"; BUFFER=; }; zle -N told; bindkey -e; "
                  "bindkey '^I' complete-word '^T' told; setopt no_list_beep no_auto_list; "
                  "print '<rea''dy>'\n")
        self.told("<ready>")

    def send(self, text):
        os.write(self.terminal, text.encode())

    def told(self, pattern):
        said, deadline = "", time.monotonic() + harness.DEADLINE
        while not (found := re.search(pattern, said)):
            left = deadline - time.monotonic()
            if left < 0 or not select.select([self.terminal], [], [], left)[0]:
                raise AssertionError(f"zsh said only {said!r}")
            said += os.read(self.terminal, 4096).decode(errors="replace")
        return found[0][1:-1]

    def complete(self, line):
        """The line as one press of the tabulator leaves it."""
        self.send(line + "\t\x14")
        return self.told(r"<twinlog[^>]*>")

    def close(self):
        os.close(self.terminal)
        os.waitpid(self.pid, 0)


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.prefix = pathlib.Path(tempfile.mkdtemp(prefix="twinlog-install-"))
        cls.addClassCleanup(shutil.rmtree, cls.prefix)
        run("cmake", "--install", BUILD, "--prefix", cls.prefix / "usr")
        cls.root = cls.prefix / "usr"
        cls.environment = {**os.environ, "PATH": f"{cls.root}/bin:{os.environ['PATH']}",
                           "TWINLOG_STORE": str(cls.prefix / "store"), "HOME": str(cls.prefix)}
        for letter, name in (("a", "web"), ("b", "web2"), ("c", "db")):
            directory = cls.prefix / "store/containers" / (letter * 64)
            directory.mkdir(parents=True)
            info = {"id": letter * 64, "name": name, "state": "ended",
                    "labels": {"name": "no-container", "note": "\n$(touch oops) `touch oops`"}}
            (directory / "container.json").write_text(json.dumps(info))
        cls.options = {command: cls.help_options(command) for command in COMMANDS}

    @classmethod
    def help_options(cls, *command):
        """The long options that --help names."""
        text = run(cls.root / "bin/twinlog", *command, "--help").stdout.decode()
        names = re.findall(r"^  (?:-\w,)?(--[a-z-]+)(?:,(--[a-z-]+))?", text, re.MULTILINE)
        return {name for pair in names for name in pair if name}

    def bash(self, *words):
        script = ('. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _twinlog twinlog; '
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        done = run("bash", "-uc", script, self.root / BASH, *words, env=self.environment)
        self.assertEqual(done.stderr, b"")
        return done.stdout.decode().split()

    def fish(self, line):
        done = run(tool("fish"), "--no-config", "-c", 'source $argv[1]; complete -C $argv[2]',
                   self.root / FISH, line, env=self.environment)
        self.assertEqual(done.stderr, b"")
        return [offer.split("\t")[0] for offer in done.stdout.decode().splitlines()]

    def test_what_is_installed(self):
        for name, mode in (("bin/twinlog", 0o755), (BASH, 0o644), (ZSH, 0o644), (FISH, 0o644),
                           (MANUAL, 0o644)):
            self.assertEqual((self.root / name).stat().st_mode & 0o777, mode, name)
            self.assertNotIn(b"@COMMANDS@", (self.root / name).read_bytes()[:100000])
        files = [str(p.relative_to(self.root)) for p in self.root.rglob("*") if p.is_file()]
        self.assertEqual(len(files), 5, files)

    def test_commands_are_those_of_help(self):
        text = run(self.root / "bin/twinlog", "--help").stdout.decode()
        listed = re.findall(r"^  (\w+)", text.split("Subcommands:")[1], re.MULTILINE)
        self.assertEqual(set(listed), COMMANDS)
        for command, options in self.options.items():
            self.assertIn("--help", options, command)

    # The manual page

    def test_manual_page_is_clean(self):
        done = run(tool("groff"), "-man", "-ww", "-Tutf8", self.root / MANUAL)
        self.assertEqual(done.stderr, b"")
        if shutil.which("mandoc"):
            done = run("mandoc", "-Tlint", "-W", "warning", self.root / MANUAL, check=False)
            self.assertEqual(done.stdout, b"")

    def test_manual_page_names_everything(self):
        page = run(tool("groff"), "-man", "-Tascii", "-P-cbou", self.root / MANUAL).stdout.decode()
        sections = dict(re.findall(r"^   twinlog (\w+)(.*?)(?=^\w|^   twinlog )", page,
                                   re.MULTILINE | re.DOTALL))
        self.assertEqual(set(sections), COMMANDS)
        for command, options in self.options.items():
            for option in options - {"--help"}:
                self.assertRegex(sections[command], rf"(?m)^ +(-\w, |--[a-z-]+, )?{option}\b", command)
        for option in self.help_options():
            self.assertRegex(page, rf"(?m)^ +(-\w, )?{option}\b")

    # bash

    def test_bash_completes_commands_and_options(self):
        self.assertEqual(set(self.bash("twinlog", "")), COMMANDS)
        self.assertEqual(self.bash("twinlog", "--log-level", "warn", "l"), ["logs"])
        self.assertEqual(set(self.bash("twinlog", "--")), self.help_options())
        for command, options in self.options.items():
            self.assertEqual(set(self.bash("twinlog", command, "--")), options)
        self.assertEqual(self.bash("twinlog", "nosuch", ""), [])

    def test_bash_completes_values(self):
        self.assertEqual(self.bash("twinlog", "ps", "--format", ""), ["table", "json"])
        self.assertEqual(self.bash("twinlog", "--log-level", "=", "w"), ["warn"])
        self.assertEqual(self.bash("twinlog", "run", "--store", str(self.prefix / "us")),
                         [str(self.root)])
        self.assertIn(str(os.getpid()), self.bash("twinlog", "trace", "--pid", str(os.getpid())))
        self.assertIn("env", self.bash("twinlog", "trace", "--", "env"))
        self.assertEqual(self.bash("twinlog", "trace", "--", "ls", "--wri"), [])
        self.assertEqual(self.bash("twinlog", "run", "--format", ""), ["local", "json-file", "cri", "raw"])
        self.assertEqual(self.bash("twinlog", "logs", "--docker-exact", "=", ""), ["20.10", "23"])
        self.assertEqual(self.bash("twinlog", "logs", "--docker-exact", "="), ["20.10", "23"])
        self.assertEqual(self.bash("twinlog", "logs", "--docker-exact", "d"), ["db"])

    def test_bash_completes_containers(self):
        self.assertEqual(self.bash("twinlog", "logs", ""), ["web", "web2", "db"])
        self.assertEqual(self.bash("twinlog", "logs", "-f", "-n", "5", "w"), ["web", "web2"])
        self.assertEqual(self.bash("twinlog", "run", "--container", "=", "d"), ["db"])
        self.assertEqual(self.bash("twinlog", "trace", "--container", "bb"), ["b" * 12])
        self.assertEqual(self.bash("twinlog", "stats", "web", "d"), ["db"])
        namesakes = self.prefix / "namesakes"
        for letter in "ab":
            directory = namesakes / "containers" / (letter * 64)
            directory.mkdir(parents=True)
            (directory / "container.json").write_text(
                json.dumps({"id": letter * 64, "name": "web", "state": "ended"}))
        self.assertEqual(self.bash("twinlog", "logs", "--store", str(namesakes), "w"), ["web"])
        empty = self.prefix / "no-store"
        self.assertEqual(self.bash("twinlog", "logs", "--store", str(empty), ""), [])
        self.assertEqual(self.bash("twinlog", "logs", "--store", "=", str(empty), ""), [])

    # zsh

    def test_zsh(self):
        zsh = Zsh((self.root / ZSH).parent, self.environment)
        self.addCleanup(zsh.close)
        for command, options in self.options.items():
            self.assertEqual(zsh.complete(f"twinlog {command[:3]}"), f"twinlog {command} ")
            for option in options:
                # Its last letter is left out: nothing else begins so, but for longer ones.
                line = zsh.complete(f"twinlog {command} {option[:-1]}")
                longer = any(other.startswith(option) and other != option for other in options)
                whole = f"twinlog {command} {option}"
                self.assertIn(line, (whole,) if longer else (f"{whole} ", f"{whole}="))
        self.assertEqual(zsh.complete("twinlog ps --format t"), "twinlog ps --format table ")
        self.assertEqual(zsh.complete("twinlog --log-level=w"), "twinlog --log-level=warn ")
        self.assertEqual(zsh.complete("twinlog logs -f d"), "twinlog logs -f db ")
        self.assertEqual(zsh.complete("twinlog logs w"), "twinlog logs web")
        self.assertEqual(zsh.complete("twinlog logs bbb"), f"twinlog logs {'b' * 12} ")
        self.assertEqual(zsh.complete("twinlog trace --container d"), "twinlog trace --container db ")
        store = self.prefix / "no-store"
        self.assertEqual(zsh.complete(f"twinlog logs --store {store} d"),
                         f"twinlog logs --store {store} d")

    # fish

    def test_fish(self):
        self.assertEqual(set(self.fish("twinlog ")), COMMANDS)
        self.assertEqual(set(self.fish("twinlog --")), self.help_options())
        for command, options in self.options.items():
            self.assertEqual(set(self.fish(f"twinlog {command} --")), options)
        self.assertEqual(set(self.fish("twinlog run --backend ")), {"auto", "tracepoint", "fentry"})
        self.assertEqual(self.fish("twinlog --log-level warn lo"), ["logs"])
        self.assertEqual(self.fish("twinlog logs w"), ["web", "web2"])
        self.assertEqual(self.fish("twinlog logs run"), [])
        self.assertEqual(self.fish("twinlog trace --container bbb"), ["b" * 12])
        self.assertEqual(self.fish(f"twinlog logs --store {self.prefix}/no-store d"), [])


if __name__ == "__main__":
    harness.main()
