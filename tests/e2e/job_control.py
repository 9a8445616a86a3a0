#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""usage: job_control.py MOAT [OPTION-OF-MOAT-RUN...]
A terminal's Ctrl-C ends the program and moat run with it; Ctrl-Z stops both, SIGCONT
wakes both. What a shell relies on."""
import os
import pty
import select
import signal
import sys
import time

MOAT, OPTIONS = sys.argv[1], sys.argv[2:]
failed = False


def check(name, want, got):
    global failed
    if want != got:
        print(f"FAIL {name}: want {want}, got {got}")
        failed = True


def command(script):
    return [MOAT, "run", *OPTIONS, "--", "sh", "-c", script]


def read_until(fd, word, seconds=10):
    seen, end = b"", time.time() + seconds
    while word not in seen and time.time() < end:
        if select.select([fd], [], [], 0.1)[0]:
            try:
                data = os.read(fd, 1000)
            except OSError:
                break
            if not data:
                break
            seen += data
    return word in seen


def interrupt():
    pid, fd = pty.fork()
    if not pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        os.execv(MOAT, command("echo ready; exec sleep 30"))
    check("terminal", True, read_until(fd, b"ready"))
    time.sleep(0.2)
    os.write(fd, b"\x03")
    status = os.waitpid(pid, 0)[1]
    check("ctrl-c", 128 + signal.SIGINT, os.waitstatus_to_exitcode(status))


def stop():
    out, into = os.pipe()
    pid = os.fork()
    if not pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        os.setpgid(0, 0)
        os.dup2(into, 1)
        os.execv(MOAT, command("echo ready; sleep 0.5; exit 4"))
    check("started", True, read_until(out, b"ready"))
    os.killpg(pid, signal.SIGTSTP)
    check("stopped", True, os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1]))
    os.killpg(pid, signal.SIGCONT)
    check("continued", 4, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


interrupt()
stop()
sys.exit(1 if failed else 0)
