#!/usr/bin/python3
"""callstackd and callstackctl as an operator meets them: daemon_test.py CALLSTACKD CALLSTACKCTL MAKE_STATE

No dataplane. Runs in a network namespace of its own; as root, because privileges are dropped."""
import asyncio
import base64
import hashlib
import hmac
import json
import os
import pwd
import shutil
import signal
import ssl
import stat
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import websockets

DAEMON, CTL, MAKE_STATE = (os.path.abspath(p) for p in sys.argv[1:4])
TOP = tempfile.mkdtemp(prefix="daemon_test_", dir="/dev/shm")
RUN, DATA, WEB = TOP + "/run", TOP + "/run/data", TOP + "/web"
# a sanitized build cannot look for leaks once its user has changed
NO_LEAK_CHECK = {"ASAN_OPTIONS": "detect_leaks=0"}
TLS = ssl.create_default_context()
TLS.check_hostname = False
TLS.verify_mode = ssl.CERT_NONE


def ctl(*words, want=0, stdin=None, env=None):
    e = {"PATH": os.environ["PATH"], "CALLSTACK_RUNDIR": RUN, **(env or {})}
    p = subprocess.run([CTL, *words], input=stdin, capture_output=True, text=True, env=e, timeout=30)
    assert p.returncode == want, (words, p.returncode, p.stdout, p.stderr)
    assert (p.returncode == 0) == (p.stderr == "") or "status" in words, (words, p.stderr)
    return p.stdout


def accounts():
    assert "user add" in ctl("--help") and ctl("--version").startswith("callstackctl ")
    ctl("user", "add", "alice", "--password", "wonder land", "--extension", "1001", "--display", "Alice Ä")
    ctl("user", "add", "--password=-", "bob", stdin="from stdin\nnot this\n")
    ctl("user", "add", "carol", "--password", "x", "--json")
    ctl("user", "add", "alice", "--password", "x", want=5)
    ctl("user", "add", "dave", "--password", "x", "--extension", "1001", want=5)
    ctl("user", "add", "da ve", "--password", "x", want=2)
    ctl("user", "add", "dave", want=2)
    ctl("user", "add", "dave", "--password", "", want=2)
    ctl("user", "add", "dave", "--password", want=2)
    ctl("user", "add", "dave", "--password", "x", "--extension", "12a", want=2)
    ctl("user", "add", "dave", "--password", "x", "--color", "red", want=2)
    ctl("user", "add", "dave", "eve", "--password", "x", want=2)
    ctl("user", "frob", want=2)
    ctl("frob", want=2)
    ctl(want=2)
    ctl("user", "delete", "carol")
    ctl("user", "delete", "carol", want=4)
    ctl("user", "passwd", "nobody", "--password", "x", want=4)
    ctl("user", "passwd", "bob", "--password", "changed")
    users = json.loads(ctl("--json", "user", "list"))["users"]
    assert [(u["name"], u["extension"], u["display"]) for u in users] == \
        [("alice", "1001", "Alice Ä"), ("bob", "", "")], users
    assert "alice" in ctl("user", "list")
    assert os.path.exists(DATA + "/callstack.db")


def tokens():
    def read(text):
        assert text.endswith("\n") and text.count("\n") == 1, text
        head, claims, mac = text.strip().split(".")
        pad = lambda x: base64.urlsafe_b64decode(x + "=" * (-len(x) % 4))
        with open(DATA + "/token.key", "rb") as f:
            key = f.read()
        assert len(key) >= 32
        assert pad(mac) == hmac.new(key, f"{head}.{claims}".encode(), hashlib.sha256).digest()
        assert json.loads(pad(head))["alg"] == "HS256"
        return json.loads(pad(claims))

    c = read(ctl("token", "--user", "alice"))
    assert c["sub"] == "alice" and c["exp"] - c["iat"] == 3600 and abs(c["iat"] - time.time()) < 5, c
    assert "room" not in c and "name" not in c
    c = read(ctl("token", "--user", "a@b", "--room", "r1", "--ttl", "60", "--display", "Å"))
    assert (c["room"], c["name"], c["exp"] - c["iat"]) == ("r1", "Å", 60), c
    j = json.loads(ctl("token", "--user", "alice", "--json"))
    assert read(j["token"] + "\n")["exp"] == j["expires"]
    ctl("token", want=2)
    ctl("token", "--user", "a b", want=2)
    ctl("token", "--user", "a", "--room", "x/y", want=2)
    for ttl in ("0", "-1", "x", "", "1e3", "99999999999999999999"):
        ctl("token", "--user", "a", "--ttl", ttl, want=2)
    # the other ways to name the folder
    other = TOP + "/other/deep"
    ctl("token", "--user", "a", "--data-dir", other)
    assert stat.S_IMODE(os.stat(other + "/token.key").st_mode) == 0o600
    assert stat.S_IMODE(os.stat(other).st_mode) == 0o700
    ctl("token", "--user", "a", env={"CALLSTACK_DATADIR": other})
    os.chmod(other + "/token.key", 0o644)
    ctl("token", "--user", "a", "--data-dir", other, want=1)


def without_a_daemon():
    ctl("status", want=3)
    ctl("rooms", "--json", want=3)
    ctl("drop-reasons", want=3)
    subprocess.run([MAKE_STATE, RUN + "/dataplane.state"], check=True)
    text = ctl("drop-reasons")
    assert [line.split()[:2] for line in text.splitlines()] == [["srtp_replay", "7"], ["no_route", "5"]], text
    assert "srtp_auth" in ctl("drop-reasons", "--all")
    all_of_it = {d["reason"]: d["packets"] for d in json.loads(ctl("drop-reasons", "--json"))["drop_reasons"]}
    assert all_of_it["srtp_replay"] == 7 and all_of_it["srtp_auth"] == 0 and len(all_of_it) > 30
    assert "rx_packets" not in all_of_it
    with open(RUN + "/dataplane.state", "r+b") as f:
        f.write(b"\0\0\0\0")
    ctl("drop-reasons", want=1)
    os.unlink(RUN + "/dataplane.state")


def options():
    def run(*words, want):
        p = subprocess.run([DAEMON, *words], capture_output=True, text=True, timeout=20)
        assert p.returncode == want, (words, p)
        return p.stdout + p.stderr

    assert "--check-config" in run("--help", want=0)
    assert "https_port: 8443" in run("--print-config", want=0)
    run("--check-config", want=0)
    assert "listen.https_port" in run("--set", "listen.https_port=70000", "--check-config", want=2)
    run("--set", "no.such=1", want=2)
    run("--frob", want=2)
    run("--config", TOP + "/none.yaml", want=2)
    with open(TOP + "/bad.yaml", "w") as f:
        f.write("listen:\n  https_port: 8443\ncolour: red\n")
    assert "bad.yaml:3" in run("--config", TOP + "/bad.yaml", "--check-config", want=2)
    assert "no such user" in run("--set", "user=nobody-of-this-name", *settings(), want=1)


def settings():
    return [w for s in (f"rundir={RUN}", f"data_dir={DATA}", f"web_root={WEB}", "limits.login_rate=20")
            for w in ("--set", s)]


def start(*words):
    log = open(TOP + "/log", "a")
    env = {**os.environ, **(NO_LEAK_CHECK if words else {})}
    p = subprocess.Popen([DAEMON, *settings(), *words], stderr=log, stdout=log, env=env)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        assert p.poll() is None, "the daemon ended: " + open(TOP + "/log").read()
        try:
            get("https://localhost:8443/healthz")
            return p
        except (OSError, urllib.error.URLError):
            time.sleep(0.1)
    raise AssertionError("the daemon does not answer")


def get(url):
    try:
        with urllib.request.urlopen(url, context=TLS if url.startswith("https") else None, timeout=5) as r:
            return r.status, r.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()


def field(pid, name):
    with open(f"/proc/{pid}/status") as f:
        return next(line.split()[1:] for line in f if line.startswith(name + ":"))


async def logins():
    async def login(user, password):
        async with websockets.connect("wss://localhost:8443/ws", ssl=TLS, subprotocols=["callstack.v1"]) as c:
            await c.send(json.dumps({"id": 1, "type": "login", "user": user, "password": password}))
            return json.loads(await c.recv())

    ok = await login("alice", "wonder land")
    assert ok["type"] == "ok" and ok["user"] == "alice" and ok["display"] == "Alice Ä", ok
    assert (await login("bob", "changed"))["type"] == "ok"
    assert (await login("bob", "from stdin"))["code"] == "unauthorized"
    assert (await login("nobody", "x"))["code"] == "unauthorized"
    # failures of one user run out; others and good logins are not touched before that
    codes = [(await login("bob", f"guess {i}"))["code"] for i in range(14)]
    assert codes[0] == "unauthorized" and codes[-1] == "rate_limited", codes
    assert (await login("alice", "wonder land"))["type"] == "ok"


def running():
    p = start("--set", "user=nobody")
    nobody = pwd.getpwnam("nobody")
    try:
        assert set(field(p.pid, "Uid")) == {str(nobody.pw_uid)} and set(field(p.pid, "Gid")) == {str(nobody.pw_gid)}
        assert field(p.pid, "Groups") == [] and field(p.pid, "NoNewPrivs") == ["1"]
        assert field(p.pid, "CapEff") == ["0000000000000000"]
        with open(f"/proc/{p.pid}/limits") as f:
            assert any(line.split()[:6] == ["Max", "core", "file", "size", "0", "0"] for line in f)
        for path in ("", "/token.key", "/tls/key.pem", "/callstack.db"):
            st = os.stat(DATA + path)
            assert st.st_uid == nobody.pw_uid and not st.st_mode & 0o077, (path, oct(st.st_mode))
        assert stat.S_IMODE(os.stat(RUN + "/callstackd.sock").st_mode) == 0o600
        code, text = get("https://localhost:8443/healthz")
        health = json.loads(text)
        assert code == 503 and health["status"] == "unavailable" and health["reason"], (code, text)
        code, text = get("http://127.0.0.1:9464/metrics")
        assert code == 200 and "callstackd_http_requests_total" in text and "callstack_state_readable 0" in text
        assert get("https://localhost:8443/metrics")[1] != text
        s = json.loads(ctl("status", "--json", want=1))
        assert s["status"] == "unavailable" and s["pid"] == p.pid and s["reason"], s
        assert "callstackd" in ctl("status", want=1)
        assert "no rooms" in ctl("rooms") and json.loads(ctl("rooms", "--json"))["rooms"] == []
        # a second one in this run directory, and one whose port is taken
        other = subprocess.run([DAEMON, *settings()], capture_output=True, text=True, timeout=20)
        assert other.returncode == 1 and "another callstackd" in other.stderr, other
        other = subprocess.run([DAEMON, "--set", f"rundir={TOP}/run2", "--set", f"data_dir={TOP}/data2"],
                               capture_output=True, text=True, timeout=20)
        assert other.returncode == 1 and "8443" in other.stderr and "in use" in other.stderr, other
        # accounts made by root while it runs belong to the daemon
        ctl("user", "add", "late", "--password", "comer", env=NO_LEAK_CHECK)
        assert os.stat(DATA + "/callstack.db-wal").st_uid == nobody.pw_uid
        asyncio.run(logins())
        os.kill(p.pid, signal.SIGTERM)
        assert p.wait(10) == 0
    finally:
        if p.poll() is None:
            p.kill()
            p.wait()
    ctl("status", want=3)
    # after a kill -9: the next one starts over what is left, as root too
    p = start()
    p.kill()
    p.wait()
    p = start()
    os.kill(p.pid, signal.SIGINT)
    assert p.wait(10) == 0


def main():
    failed = []
    os.makedirs(RUN)
    os.makedirs(WEB)
    os.chmod(TOP, 0o755)
    for f in (accounts, tokens, without_a_daemon, options, running):
        try:
            f()
            print("ok  ", f.__name__, flush=True)
        except Exception as e:  # noqa: BLE001 - reported
            failed.append(f.__name__)
            print(f"FAIL {f.__name__}: {type(e).__name__}: {e}", flush=True)
    log = open(TOP + "/log").read() if os.path.exists(TOP + "/log") else ""
    if failed or "Sanitizer" in log or "runtime error" in log:
        print(log[-4000:])
        failed.append("log")
    shutil.rmtree(TOP)
    return 1 if failed else 0


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("skip: needs root")
        sys.exit(77)
    if "DAEMON_TEST_NETNS" not in os.environ:
        os.environ["DAEMON_TEST_NETNS"] = "1"
        os.execvp("unshare", ["unshare", "-n", "sh", "-c", 'ip link set lo up; exec "$@"', "sh", sys.executable] +
                  sys.argv)
    sys.exit(main())
