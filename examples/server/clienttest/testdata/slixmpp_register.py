"""Drives slixmpp's plugin for registration; see slixmpp_client.py, whose environment
and ends this script has.

    slixmpp_register.py ACCOUNT
"""

import asyncio
import os
import sys

from slixmpp.exceptions import IqError
from slixmpp_client import WAIT, Client, Failed, demand, run_refused

NEW = "parting is such sweet sorrow"


async def run(account):
    """Registers in band, changes the password, and removes the account."""
    first = os.environ["PASSWORD"] = os.environ["PASSWORD"] + ", but longer"
    x = Client(account)
    answers = []

    async def register(form):
        answers.append({f.get("var") for f in form.xml.iter("{jabber:x:data}field")})
        for username, password in (("admin", first), (x.requested_jid.user, "short"), (x.requested_jid.user, first)):
            iq = x.Iq()
            iq["type"] = "set"
            iq["register"]["username"] = username
            iq["register"]["password"] = password
            try:
                await iq.send(timeout=WAIT)
                answers.append("registered")
            except IqError as e:
                answers.append((e.iq["error"]["condition"], e.iq["error"]["code"]))

    x.add_event_handler("register", register)
    x._always_send_everything = True  # see run_register of slixmpp_client.py
    await x.login()
    demand(answers[1:] == [("conflict", "409"), ("not-acceptable", "406"), "registered"], f"the server said {answers}")
    demand({"username", "password"} <= answers[0], f"the form has the fields {answers[0]}")

    await x["xep_0077"].change_password(NEW, timeout=WAIT)
    try:
        await x["xep_0077"].change_password("short", timeout=WAIT)
        raise Failed("a short password was taken")
    except IqError as e:
        demand(e.iq["error"]["condition"] == "not-acceptable", f"refused with {e.iq['error']['condition']}")
    await x.leave()
    await run_refused(account, first)

    x = await Client(account, NEW).login()
    await x["xep_0077"].cancel_registration(timeout=WAIT)
    await x.expect("end of the connection", lambda name, _: name == "disconnected")
    await run_refused(account, NEW)


def main():
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(run(*sys.argv[1:]))
    except Failed as e:
        sys.exit(f"failed: {e}")
    print("done", flush=True)


main()
