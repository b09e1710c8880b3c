"""Two resources of an account and somebody else on a server with carbons and stream
management, and nothing else: no roster, no presence for others, no discovery.

    slixmpp_embed.py ACCOUNT OTHER

The environment and the rest are those of slixmpp_client.py. The first resource loses
its socket twice and goes on; it and the second see both sides, once and in order.
"""

import asyncio
import sys

from slixmpp_client import WAIT, Client, Failed, demand


class Device(Client):
    EVENTS = Client.EVENTS + ("sm_enabled", "sm_failed", "session_resumed")

    def __init__(self, account, managed=False):
        super().__init__(account, mechanisms=["PLAIN"])
        self.register_plugin("xep_0280")
        if managed:
            self.register_plugin("xep_0198")
        self.lines = []
        self.add_event_handler("carbon_sent", lambda m: self.copy("sent", m["carbon_sent"]))
        self.add_event_handler("carbon_received", lambda m: self.copy("received", m["carbon_received"]))

    def note(self, name, data):
        if name == "message" and data["body"]:
            self.lines.append(f"message {data['body']}")
        self.seen.append((name, data))
        self.arrived.set()

    def copy(self, way, message):
        self.lines.append(f"{way} {message['body']}")
        self.arrived.set()

    async def ready(self):
        await self.login()
        if "xep_0198" in self.plugin:
            # slixmpp counts from enabled on, and not from its enable.
            await self.expect("stream management", lambda name, _: name == "sm_enabled")
        self.send_presence()
        await self["xep_0280"].enable(timeout=WAIT)
        return self

    def chat(self, to, body):
        self.send_message(mto=to, mbody=body, mtype="chat")

    async def has(self, *lines):
        """Waits for lines, all and in order, and takes them."""
        async def wait():
            while len(self.lines) < len(lines):
                self.arrived.clear()
                await self.arrived.wait()

        try:
            await asyncio.wait_for(wait(), WAIT)
        except asyncio.TimeoutError:
            pass
        demand(self.lines == list(lines), f"{self.boundjid}: {self.lines} instead of {list(lines)}")
        self.lines = []


async def run(account, other):
    phone = await Device(account + "/phone", managed=True).ready()
    desk = await Device(account + "/desk").ready()
    friend = await Device(other + "/home").ready()
    address = str(phone.boundjid)

    desk.chat(other, "from the desk")
    await phone.has("sent from the desk")
    friend.chat(str(desk.boundjid), "to the desk")
    await phone.has("received to the desk")
    phone.chat(other, "from the phone")
    await desk.has("message to the desk", "sent from the phone")
    await friend.has("message from the desk", "message from the phone")
    print("carbons ok", flush=True)

    for n in range(2):
        phone.transport.abort()
        await phone.expect("end of the connection", lambda name, _: name == "disconnected")
        friend.chat(address, f"one {n}")
        friend.chat(str(desk.boundjid), f"two {n}")
        await desk.has(f"received one {n}", f"message two {n}")
        desk.chat(other, f"three {n}")
        await friend.has(f"message three {n}")
        phone.dial()
        name, _ = await phone.expect("resumption", lambda name, _: name in ("session_resumed", "session_start", "sm_failed"))
        demand(name == "session_resumed" and str(phone.boundjid) == address, f"{phone.boundjid}: {name}")
        await phone.has(f"message one {n}", f"received two {n}", f"sent three {n}")
        phone.chat(other, f"back {n}")
        await friend.has(f"message back {n}")
        await desk.has(f"sent back {n}")
    print("resumed ok", flush=True)
    for x in (phone, desk, friend):
        await x.leave()
        demand(not x.lines, f"{x.boundjid}: {x.lines}")


loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
try:
    loop.run_until_complete(run(*sys.argv[1:]))
except Failed as e:
    sys.exit(f"failed: {e}")
print("done", flush=True)
