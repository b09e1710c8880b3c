"""Registers an account, changes its password, logs in with it and removes the account.

Arguments: address, port, domain. Prints a line for each step.
"""

import asyncio
import ssl
import sys

import slixmpp
from slixmpp.exceptions import IqError

ADDRESS, PORT, DOMAIN = sys.argv[1], int(sys.argv[2]), sys.argv[3]
PASSWORD, OTHER = "wherefore art thou", "parting is such sweet sorrow"


class Client(slixmpp.ClientXMPP):
    def __init__(self, password, new):
        super().__init__("bill@" + DOMAIN, password)
        self.new, self.done, self.said = new, asyncio.get_event_loop().create_future(), []
        self.ssl_context.check_hostname = False
        self.ssl_context.verify_mode = ssl.CERT_NONE
        for plugin in ("xep_0004", "xep_0030", "xep_0066", "xep_0077"):
            self.register_plugin(plugin)
        if new:
            self["xep_0077"].force_registration = True
            self.add_event_handler("register", self.on_register)
        else:
            self["xep_0077"].create_account = False
        self.add_event_handler("session_start", self.on_start)
        self.add_event_handler("failed_all_auth", lambda _: self.finish("refused"))
        self.add_event_handler("disconnected", lambda _: self.finish("disconnected"))

    def finish(self, word):
        if not self.done.done():
            self.done.set_result(word)

    async def on_register(self, form):
        print("form" if form["register"]["form"]["fields"] else "fields", flush=True)
        try:
            await self.send_new()
            print("registered", flush=True)
        except IqError as e:
            print("not registered:", e.condition, flush=True)
            self.disconnect()

    async def send_new(self):
        iq = self.Iq()
        iq["type"] = "set"
        iq["register"]["username"] = self.boundjid.user
        iq["register"]["password"] = self.password
        await iq.send(timeout=10)

    async def on_start(self, _):
        try:
            if self.new:
                await self["xep_0077"].change_password(OTHER, timeout=10)
                print("changed", flush=True)
            else:
                await self["xep_0077"].cancel_registration(timeout=10)
                print("removed", flush=True)
        except IqError as e:
            print("error:", e.condition, flush=True)
        self.finish("done")


async def run(password, new):
    client = Client(password, new)
    client.connect_retry_max = client.reconnect_max_attempts = 1
    client.enable_direct_tls, client.enable_starttls, client.enable_plaintext = False, True, False
    client.connect((ADDRESS, PORT)) if CONNECT_TUPLE else client.connect(ADDRESS, PORT)
    word = await asyncio.wait_for(client.done, 30)
    print(word, flush=True)
    client.abort()
    await asyncio.sleep(0)


CONNECT_TUPLE = "address" in slixmpp.ClientXMPP.connect.__code__.co_varnames[:2]
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
for step in ((PASSWORD, True), (OTHER, False), (OTHER, False)):
    loop.run_until_complete(run(*step))
