#!/usr/bin/python3
"""The front against real clients, friendly and hostile: front_test.py SERVER

    front_test_client.py   what a test reaches it by
    front_test_http.py     HTTPS
    front_test_ws.py       WebSocket
    front_test_slow.py     deadlines, backpressure, floods

Runs in a network namespace of its own when it may make one. Tests that wait for deadlines run side by side."""
import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

import aiohttp

sys.dont_write_bytecode = True
import front_test_http  # noqa: E402, F401 - its tests
from front_test_client import LISTED, METRICS, PORT, TLS, counts, expect_close, tests, ws  # noqa: E402
from front_test_ws import websocket_never_reads  # noqa: E402
from front_test_slow import many_connections  # noqa: E402

SERVER = os.path.abspath(sys.argv[1])


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        v = f.read().rsplit(")", 1)[1].split()
    return (int(v[11]) + int(v[12])) / os.sysconf("SC_CLK_TCK")


def web_root(top):
    root = os.path.join(top, "web")
    os.makedirs(os.path.join(root, "assets"))
    os.makedirs(os.path.join(root, ".git"))
    for path, text in (("index.html", "<!doctype html><p>the page"), ("assets/index-4f3a2b1c.js", "1"),
                       ("assets/style-deadbeef.css", "p{}"), ("icon.svg", "<svg/>"), ("sound.wav", "RIFF"),
                       ("site.webmanifest", "{}"), (".hidden", "SECRET"), ("assets/.hidden", "SECRET"),
                       (".git/config", "SECRET"), ("../secret.txt", "SECRET"), ("large.bin", "l" * 3_000_000)):
        with open(os.path.join(root, path), "w") as f:
            f.write(text)
    os.symlink("../secret.txt", os.path.join(root, "link.txt"))
    os.symlink("..", os.path.join(root, "dirlink"))
    return root


async def run_all(server):
    failed = []

    async def one(f):
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=TLS)) as s:
            try:
                await asyncio.wait_for(f(s), 60)
                print(f"ok   {f.__name__}", flush=True)
            except Exception as e:  # noqa: BLE001 - reported
                failed.append(f.__name__)
                print(f"FAIL {f.__name__}: {type(e).__name__}: {e}", flush=True)

    # the flood first and alone, as its reader slows this process too
    await one(websocket_never_reads)
    await asyncio.gather(*(one(f) for f in tests if f is not websocket_never_reads))
    await one(many_connections)
    await asyncio.sleep(1.2)
    before = cpu_seconds(server.pid)
    await asyncio.sleep(2)
    used = cpu_seconds(server.pid) - before
    if used > 0.2:
        failed.append("idle")
        print(f"FAIL idle: {used} s of CPU in 2 s with nothing to do")
    async with ws() as c, aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=TLS)) as s:
        j = await counts(s)
        if j["connections"] > 3:
            failed.append("connections left")
            print(f"FAIL connections left: {j}")
        server.send_signal(signal.SIGTERM)
        try:
            await expect_close(c, 1001)
            print("ok   goodbye", flush=True)
        except AssertionError as e:
            failed.append("goodbye")
            print(f"FAIL goodbye: {e}")
    return failed


def main():
    top = tempfile.mkdtemp(prefix="front_test_")
    log = open(os.path.join(top, "log"), "w+")
    server = subprocess.Popen([SERVER, top, web_root(top), str(PORT), str(METRICS), "*, " + LISTED],
                              stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        assert server.stdout.readline() == "ready\n", "the server did not start"
        failed = asyncio.run(run_all(server))
        end = server.wait(20)
        if end:
            failed.append(f"exit status {end}: {server.stdout.read()}")
        log.seek(0)
        text = log.read()
        if failed or re.search("Sanitizer|runtime error", text):
            print(text[-6000:])
            print("failed:", failed)
            return 1
        return 0
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()
        shutil.rmtree(top)


if __name__ == "__main__":
    if os.geteuid() == 0 and "FRONT_TEST_NETNS" not in os.environ:
        os.environ["FRONT_TEST_NETNS"] = "1"
        os.execvp("unshare", ["unshare", "-n", "sh", "-c", 'ip link set lo up; exec "$@"', "sh", sys.executable] +
                  sys.argv)
    sys.exit(main())
