"""callstackctl doctor as an operator meets it: where options come from, exit status, JSON. argv: callstackctl."""
import json
import os
import subprocess
import sys
import tempfile

CTL = os.path.abspath(sys.argv[1])


def put(root, path, text):
    path = root + path
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)


def run(cwd, *args, env=None):
    return subprocess.run([CTL, *args], cwd=cwd, env={"PATH": "/usr/bin:/bin", **(env or {})}, text=True,
                          capture_output=True, timeout=30)


def findings(done):
    said = json.loads(done.stdout)
    for f in said["findings"]:
        assert set(f) == {"check", "level", "seen", "why", "commands"}, f
        assert f["level"] == "ok" or f["why"], f
    return said, {f["check"]: f for f in said["findings"]}


def main():
    with tempfile.TemporaryDirectory() as top:
        root, conf = top + "/root", top + "/conf"
        put(root, "/sys/devices/system/cpu/online", "0-3\n")
        put(root, "/proc/self/status", "Cpus_allowed_list:\t0-3\n")
        for name, value in {"ifindex": "2", "operstate": "up", "carrier": "1", "mtu": "1500"}.items():
            put(root, "/sys/class/net/eth0/" + name, value + "\n")
        put(conf, "/dataplane.yaml", "workers: 2\nports:\n  - {kind: af_xdp, interface: eth0}\n")
        at = ["doctor", "--sysroot", root]

        done = run(top, *at)  # conf/dataplane.yaml of the working directory
        assert done.returncode == 0, done
        assert "workers: 2, on CPU 2-3" in done.stdout and "conf/dataplane.yaml, not running; files only" in done.stdout

        done = run("/", "--json", *at, env={"CALLSTACK_CONF": conf})
        said, by = findings(done)
        assert done.returncode == 0 and said["configuration"] == conf + "/dataplane.yaml", done

        done = run("/", "--json", *at, "--config", conf + "/dataplane.yaml", "--set", "workers=8", "--set=poll=busy")
        said, by = findings(done)
        assert done.returncode == 1 and said["level"] == "problem", done
        assert by["cpu.workers"]["level"] == "problem" and "8 workers on 4" in by["cpu.workers"]["seen"], by
        assert by["cpu.workers"]["commands"] == ["conf/callstack up --set workers=3 --set lcores=auto"], by

        # What conf/callstack started the daemon with wins over files, and --set over that.
        put(root, "/run/callstack/callstack-dataplane.args",
            "\0".join(["--config", conf + "/dataplane.yaml", "--set", "lcores=1,0", "--set", "workers=1", ""]))
        done = run(top, *at)
        assert done.returncode == 0 and "workers: 1, on CPU 1\n" in done.stdout, done
        done = run(top, *at, "--set", "ports.0.interface=eth9")
        assert done.returncode == 1 and "there is no interface eth9" in done.stdout, done
        done = run(top, "--rundir", "/run/other", *at)
        assert "workers: 2, on CPU 2-3" in done.stdout, done

        for wrong in (["--set", "workers=0"], ["--set", "nonsense=1"], ["--config", "/nonexistent.yaml"], ["word"],
                      ["--config"]):
            done = run(top, *at, *wrong)
            assert done.returncode == 2 and done.stderr and not done.stdout, (wrong, done)

        # This very host, with its ioctls: whatever it is like, an answer.
        done = run("/", "--json", "doctor", "--set", "ports.0.interface=lo")
        said, by = findings(done)
        assert done.returncode == (said["level"] == "problem") and "nic.interface" in by, done


main()
