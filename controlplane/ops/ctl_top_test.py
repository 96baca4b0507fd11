#!/usr/bin/python3
"""callstackctl top on a terminal: ctl_top_test.py CALLSTACKCTL MAKE_STATE

What it draws fits, whatever the size; the terminal is as it was when it ends, in each way that it may."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

CTL, MAKE_STATE = (os.path.abspath(p) for p in sys.argv[1:3])
ENTER, LEAVE = b"\x1b[?1049h\x1b[?25l", b"\x1b[?25h\x1b[?1049l"
CLEAR = b"\x1b[H\x1b[J"


class Top:
    """The program on a pseudo terminal of that size."""

    def __init__(self, run, columns, rows, *words):
        self.master, self.slave = pty.openpty()
        self.size(columns, rows, tell=False)
        self.before = termios.tcgetattr(self.slave)
        self.p = subprocess.Popen([CTL, "--rundir", run, "top", *words], stdin=self.slave, stdout=self.slave,
                                  stderr=subprocess.PIPE, start_new_session=True)
        self.out = b""

    def size(self, columns, rows, tell=True):
        self.columns, self.rows = columns, rows
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if tell:
            self.p.send_signal(signal.SIGWINCH)

    def read(self, seconds):
        end = time.time() + seconds
        while time.time() < end and select.select([self.master], [], [], max(0, end - time.time()))[0]:
            self.out += os.read(self.master, 65536)

    def last(self):
        return b"q: quit, s: sort by the next"[:self.columns] if self.rows > 8 else b""

    def picture(self, seconds=10):
        """The lines of the next whole one."""
        have = self.out.count(CLEAR)
        end = time.time() + seconds
        while time.time() < end:
            self.read(0.1)
            if self.out.count(CLEAR) > have and self.out.endswith(self.last()):
                text = self.out.split(CLEAR)[-1].decode()
                return [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line) for line in text.split("\r\n")]
        raise AssertionError(f"no picture in {seconds} s: {self.out[-400:]!r}")

    def fits(self, lines):
        assert len(lines) <= self.rows, (self.rows, len(lines), lines)
        wide = [line for line in lines if len(line) > self.columns]
        assert not wide, (self.columns, wide)
        return [line for line in lines if line.startswith("ROOM")][0]

    def ends(self, code=0):
        self.p.wait(5)
        self.read(0.2)
        assert self.p.returncode == code, (self.p.returncode, self.p.stderr.read())
        assert self.out.startswith(ENTER) and self.out.count(LEAVE) == 1 and self.out.endswith(LEAVE), self.out[-80:]
        after = termios.tcgetattr(self.slave)
        assert after == self.before, (self.before, after)
        error = self.p.stderr.read().decode()
        for fd in (self.master, self.slave):
            os.close(fd)
        return error


def sizes(run):
    top = Top(run, 80, 24)
    lines = top.picture()
    head = top.fits(lines)
    assert len(lines) == 24 and re.search(r"… and \d+ more", lines[-2]), lines
    assert "100 streams" not in lines[0] and lines[0].startswith("50 streams in, 50 out, sorted by worst;"), lines[0]
    for title in ("ROOM", "WHO", "DIR", "WHAT", "KBIT/S", "LOSS%", "JIT ms", "RTT ms", "MOS"):
        assert title in head, head
    assert "QUE ms" not in head, head
    worst = [line for line in lines if line.startswith("-")][0]
    assert " ep 49 " in worst, worst
    for columns, rows in ((200, 50), (132, 10), (60, 24), (40, 6), (300, 120)):
        top.size(columns, rows)
        began = time.time()
        lines = top.picture()
        assert time.time() - began < 0.9, "a new size is drawn at once"
        assert lines[-1].startswith("q: quit") or rows < 8, lines
        if rows >= 8:
            head = top.fits(lines)
            assert ("QUE ms" in head) == (columns >= 130) and (" MOS" in head) == (columns >= 76), (columns, head)
    assert sum(line.startswith("-") for line in lines) == 100, lines  # all of them
    os.write(top.master, b"s")
    assert "sorted by loss" in top.picture(0.9)[0]
    os.write(top.master, b"xyz")  # nothing
    os.write(top.master, b"q")
    assert top.ends() == ""


def ends(run):
    for how in ("key", signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        top = Top(run, 80, 24, "--rows", "3")
        assert sum(line.startswith("-") for line in top.picture()) == 3
        if how == "key":
            os.write(top.master, b"\x03")
        else:
            top.p.send_signal(how)
        assert top.ends() == "", how
    top = Top(run, 80, 24)  # before the first picture
    top.read(0.3)
    os.write(top.master, b"q")
    assert top.ends() == ""
    top = Top(run, 80, 24)
    top.picture()
    os.unlink(run + "/dataplane.state")
    assert "no dataplane" in top.ends(3)  # said behind the screen, where it can be read


with tempfile.TemporaryDirectory(prefix="ctl_top_test_", dir="/dev/shm") as run:
    subprocess.run([MAKE_STATE, run + "/dataplane.state", "50"], check=True)
    sizes(run)
    ends(run)
print("ok")
