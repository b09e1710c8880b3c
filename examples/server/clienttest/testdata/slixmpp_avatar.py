"""Avatars by both protocols: XEP-0084 and XEP-0153 with slixmpp's plugins, which the
server converts into each other (XEP-0398); see slixmpp_client.py, whose environment and
ends this script has.

    slixmpp_avatar.py ACCOUNT OTHER
"""

import asyncio
import base64
import hashlib
import sys

from slixmpp_client import WAIT, Client, Failed, demand

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
OTHER = PNG + b"\x00other"
UPDATE = "{vcard-temp:x:update}"


def hash_of(image):
    return hashlib.sha1(image).hexdigest()


class Faced(Client):
    """A client that wants avatars and notes what presence says of them."""

    EVENTS = Client.EVENTS + ("avatar_metadata_publish", "photo")

    def __init__(self, account, old=False):
        super().__init__(account)
        for plugin in ("xep_0054", "xep_0060", "xep_0115", "xep_0163", "xep_0084") + (("xep_0153",) if old else ()):
            self.register_plugin(plugin)
        self.add_filter("in", self.watch)

    def watch(self, stanza):
        x = stanza.xml.find(UPDATE + "x")
        if x is not None and stanza.xml.tag.endswith("}presence"):
            photo = x.find(UPDATE + "photo")
            self.note("photo", (stanza["from"].bare, stanza["to"].bare, None if photo is None else photo.text or ""))
        return stanza

    async def ready(self):
        await self.login()
        await self.get_roster(timeout=WAIT)
        await self["xep_0115"].update_caps(broadcast=False)
        self.send_presence()
        return self

    async def shown(self, who, photo):
        """Waits for presence of somebody with that hash."""
        await self.expect(f"hash {photo!r} of {who}", lambda name, data: name == "photo" and data[0] == who and data[2] == photo)

    async def announced(self, who, ident):
        """Waits for the event with metadata of that image, "" for none."""
        def match(name, m):
            if name != "avatar_metadata_publish" or m["from"].bare != who:
                return False
            infos = m.xml.findall(".//{urn:xmpp:avatar:metadata}info")
            return [i.get("id") for i in infos] == ([ident] if ident else [])
        await self.expect(f"metadata of {ident!r} of {who}", match)

    async def fetched(self, who, ident):
        got = await self["xep_0084"].retrieve_avatar(who, ident, timeout=WAIT)
        return got["pubsub"]["items"]["item"]["avatar_data"]["value"]

    async def card_photo(self, who):
        got = await self["xep_0054"].get_vcard(who, local=False, cached=False, timeout=WAIT)
        photo = got["vcard_temp"]["PHOTO"]
        return photo["TYPE"], photo["BINVAL"]


async def run(first, second):
    a, b = await Faced(first).ready(), await Faced(second, old=True).ready()
    info = await a["xep_0030"].get_info(jid=first, timeout=WAIT)
    demand("urn:xmpp:pep-vcard-conversion:0" in info["disco_info"]["features"], "the conversion is not announced")
    a.send_presence_subscription(pto=second)
    await b.shown(first, "")
    await a.expect_presence("got_online", second)
    print("contacts ok", flush=True)

    # By personal eventing (the plugin wants numbers as text): the other fetches the same octets, finds them in the card,
    # and sees the hash.
    await a["xep_0084"].publish_avatar(PNG, timeout=WAIT)
    await a["xep_0084"].publish_avatar_metadata(
        {"id": hash_of(PNG), "type": "image/png", "bytes": str(len(PNG)), "width": "1", "height": "1"}, timeout=WAIT)
    for x in (a, b):
        await x.announced(first, hash_of(PNG))
        await x.shown(first, hash_of(PNG))
        demand(await x.fetched(first, hash_of(PNG)) == PNG, "another image at the data node")
        demand(await x.card_photo(first) == ("image/png", PNG), "another image in the card")
    print("published ok", flush=True)

    # In a card: slixmpp reads the card, sets it, and sends its contacts presence without a
    # hash. Its broadcast was one that shows no avatar, which is left alone.
    await b["xep_0153"].set_avatar(avatar=OTHER, mtype="image/png", timeout=WAIT)
    await a.shown(second, hash_of(OTHER))
    for x in (a, b):
        await x.announced(second, hash_of(OTHER))
        demand(await x.fetched(second, hash_of(OTHER)) == OTHER, "another image at the data node")
        demand(await x.card_photo(second) == ("image/png", OTHER), "another image in the card")
    print("card ok", flush=True)

    # Who comes later sees it at once; directed presence has it too.
    b.send_presence()
    await a.leave()
    a = await Faced(first).ready()
    await a.shown(second, hash_of(OTHER))
    await b.shown(first, hash_of(PNG))
    a.send_presence(pto=str(b.boundjid))
    await b.shown(first, hash_of(PNG))
    print("presence ok", flush=True)

    # Switched off, one way and the other.
    await a["xep_0084"].stop(timeout=WAIT)
    for x in (a, b):
        await x.announced(first, "")
        await x.shown(first, "")
    _, image = await a.card_photo(None)
    demand(not image, "a card with an image that is switched off")
    card = b["xep_0054"].make_vcard()
    card["FN"] = "Bob"
    await b["xep_0054"].publish_vcard(card, timeout=WAIT)
    await a.announced(second, "")
    got = await a["xep_0060"].get_items(second, "urn:xmpp:vcard4", timeout=WAIT)
    names = [t.text for t in got.xml.iter("{urn:ietf:params:xml:ns:vcard-4.0}text")]
    demand(names == ["Bob"], f"vCard4 says {names}")
    print("off ok", flush=True)
    for x in (a, b):
        await x.leave()


def main():
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(asyncio.wait_for(run(*sys.argv[1:]), 5 * WAIT))
    except Failed as e:
        sys.exit(f"failed: {e}")
    print("done", flush=True)


main()
