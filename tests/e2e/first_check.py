#!/usr/bin/python3
"""first_check.py BASE TOKEN JOINS: an answer is not there before the dataplane knows the ufrag in it.

JOINS times, half by WHIP and half by signaling, an authenticated check leaves the moment the answer was read; none may meet a
dataplane that does not know its ufrag. Then the dataplane is stopped for a while: the answer waits for it, but not long.
CTL is the command that prints drop reasons as JSON; DATAPLANE the dataplane's process id."""
import asyncio, json, os, re, signal, subprocess, sys, time
import aiohttp, websockets
from aioice import stun
from aio_media import TLS, delete, offer_text

BASE, TOKEN, JOINS = sys.argv[1], sys.argv[2], int(sys.argv[3])
CTL, DATAPLANE = os.environ["CTL"].split(), int(os.environ["DATAPLANE"])
BEARER = {"Authorization": "Bearer " + TOKEN}


def unknown_ufrags():
    out = json.loads(subprocess.run(CTL + ["--json", "drop-reasons"], check=True, capture_output=True).stdout)
    return sum(d["packets"] for d in out["drop_reasons"] if d["reason"] == "stun_ufrag")


def field(sdp, name):
    return re.search(rf"a={name}:(\S+)", sdp)[1]


class Udp(asyncio.DatagramProtocol):
    def __init__(self):
        self.came = asyncio.get_running_loop().create_future()

    def datagram_received(self, data, addr):
        if not self.came.done():
            self.came.set_result(data)


async def check(offer, answer):
    """One binding request at once; True: it was answered, without a second one."""
    m = stun.Message(message_method=stun.Method.BINDING, message_class=stun.Class.REQUEST)
    m.attributes["USERNAME"] = field(answer, "ice-ufrag") + ":" + field(offer, "ice-ufrag")
    m.attributes["PRIORITY"] = 1845501695
    m.attributes["ICE-CONTROLLING"] = 1
    m.attributes["USE-CANDIDATE"] = None
    m.add_message_integrity(field(answer, "ice-pwd").encode())
    address, port = re.search(r"a=candidate:\S+ 1 udp \d+ ([\d.]+) (\d+) typ host", answer).groups()
    loop = asyncio.get_running_loop()
    transport, udp = await loop.create_datagram_endpoint(Udp, remote_addr=(address, int(port)))
    transport.sendto(bytes(m))
    try:
        data = await asyncio.wait_for(udp.came, 2)
        return stun.parse_message(data).message_class == stun.Class.RESPONSE
    except asyncio.TimeoutError:
        return False
    finally:
        transport.close()


async def whip(http, offer):
    async with http.post(BASE + "/whip/first", data=offer, ssl=TLS, headers={**BEARER, "Content-Type": "application/sdp"}) as r:
        answer = await r.text()
        if r.status != 201:
            raise SystemExit(f"POST: {r.status} {answer}")
        return answer, str(r.url.join(aiohttp.client.URL(r.headers["Location"])))


async def ask(ws, id, type, **fields):
    await ws.send(json.dumps({"id": id, "type": type, **fields}))
    while True:
        f = json.loads(await ws.recv())
        if f.get("re") == id:
            if f["type"] != "ok":
                raise SystemExit(f"{type}: {f}")
            return f


async def by_signaling(offer):
    async with websockets.connect(BASE.replace("https", "wss") + "/ws", subprotocols=["callstack.v1"], ssl=TLS, max_size=None) as ws:
        await ask(ws, 1, "login", token=TOKEN)
        await ask(ws, 2, "join", room="first", auto=False)
        began = time.time()
        answer = (await ask(ws, 3, "publish", sdp=offer, tracks=[]))["sdp"]
        took = time.time() - began
        good = await check(offer, answer)
        await ask(ws, 4, "logout")
        return good, took


async def by_whip(http, offer):
    began = time.time()
    answer, location = await whip(http, offer)
    took = time.time() - began
    good = await check(offer, answer)
    await delete(http, location, TOKEN)
    return good, took


async def main():
    offer = await offer_text()
    before, good, times = unknown_ufrags(), 0, []
    async with aiohttp.ClientSession() as http:
        for i in range(JOINS):
            ok, took = await (by_whip(http, offer) if i % 2 else by_signaling(offer))
            good += ok
            times.append(took * 1000)
        lost = unknown_ufrags() - before
        times.sort()
        print(f"{good} of {JOINS} first checks answered, {lost} met no ufrag; answers after "
              f"{times[JOINS // 2]:.1f} ms, 95 % within {times[JOINS * 95 // 100]:.1f} ms, the last {times[-1]:.1f} ms", flush=True)
        if good != JOINS or lost:
            raise SystemExit(1)
        os.kill(DATAPLANE, signal.SIGSTOP)
        try:
            began = time.time()
            task = asyncio.ensure_future(whip(http, offer))
            await asyncio.sleep(0.1)
            early = task.done()
        finally:
            os.kill(DATAPLANE, signal.SIGCONT)
        answer, location = await task
        ok, took = await check(offer, answer), time.time() - began
        await delete(http, location, TOKEN)
        print(f"dataplane stopped for 100 ms: the answer waits {'not ' if early else ''}for it; {took * 1000:.0f} ms in all")
        if early or not ok:
            raise SystemExit(1)
        os.kill(DATAPLANE, signal.SIGSTOP)
        try:
            began = time.time()
            answer, location = await asyncio.wait_for(whip(http, offer), 5)
            took = time.time() - began
        finally:
            os.kill(DATAPLANE, signal.SIGCONT)
        await delete(http, location, TOKEN)
        print(f"dataplane stopped: the answer comes all the same, after {took * 1000:.0f} ms")
        if took < 0.15:
            raise SystemExit("it did not wait at all")

asyncio.run(main())
