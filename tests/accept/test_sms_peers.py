"""Our SMS held against an SMSC of smpp34, the codec of smpplib and the client of Africa's Talking."""

import asyncio
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qsl

import pytest
import smpp34
import smpplib.client
import smpplib.consts
import smpplib.gsm
import smpplib.smpp
from africastalking.SMS import SMSService

from harambee.node.sms.africastalking import AfricasTalking
from harambee.node.sms.sending import RefusedError
from harambee.node.sms.smpp import Smpp
from harambee.node.sms.smpp_wire import Command, Pdu, bind_body, split, submit_bodies
from harambee.node.texts import TextPortError
from harambee.traffic.temporary_network import free_ports

pytestmark = pytest.mark.accept

NUMBER = "+254712345678"
LONG = "QC352PDIVL Confirmed. Ksh1,000.00 sent to FIRST L. [0712***678] on 3/3/22 at 5:28 PM. " * 3
LATIN = "@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ ^{}\\[~]|€ ¡ÄÖÑÜ¿äöñüà"


def test_an_smsc_of_smpp34_takes_and_refuses_our_texts():
    async def story():
        port = free_ports(1)
        server = smpp34.Server(host="127.0.0.1", port=port, system_id="SMSC")
        await server.start()
        seen, refusals = [], []

        async def serve():
            while True:
                event = await server.next()
                if isinstance(event, smpp34.SubmitSmEvent):
                    seen.append(event)
                    if refusals:
                        event.reject(refusals.pop(0))
                    else:
                        event.accept(message_id=str(len(seen)))

        serving = asyncio.create_task(serve())
        client = Smpp("127.0.0.1", port, "harambee", "secret", "HARAMBEE")
        try:
            await client.send(NUMBER, "hello")
            await client.send(NUMBER, LONG)
            refusals.append(smpp34.ESME_RMSGQFUL)
            with pytest.raises(TextPortError):
                await client.send(NUMBER, "later")
            refusals.append(smpp34.ESME_RINVDSTADR)
            with pytest.raises(RefusedError):
                await client.send(NUMBER, "never")
        finally:
            await client.stop()
            serving.cancel()
            await server.stop()
        first = seen[0]
        assert (first.destination_addr, first.source_addr) == ("254712345678", "HARAMBEE")
        assert bytes(first.short_message) == b"hello"
        parts = [bytes(event.short_message) for event in seen[1:-2]]
        assert len(parts) == len(split(LONG)) == 2
        assert all(event.esm_class == 0x40 for event in seen[1:-2])
        assert b"".join(part[6:] for part in parts) == b"".join(split(LONG))

    asyncio.run(story())


def test_smpplib_reads_what_we_write():
    (body,) = submit_bodies("HARAMBEE", NUMBER, "hello", 1)
    read = smpplib.smpp.parse_pdu(
        Pdu(Command.SUBMIT_SM, 0, 7, body).to_bytes(),
        client=smpplib.client.SimpleSequenceGenerator(),
    )
    assert (read.command, read.sequence) == ("submit_sm", 7)
    assert read.short_message == b"hello"
    assert read.destination_addr == b"254712345678"
    assert read.source_addr == b"HARAMBEE"
    assert read.dest_addr_ton == smpplib.consts.SMPP_TON_INTL
    bind = Pdu(Command.BIND_TRANSMITTER, 0, 1, bind_body("user", "secret")).to_bytes()
    read = smpplib.smpp.parse_pdu(bind, client=smpplib.client.SimpleSequenceGenerator())
    assert (read.system_id, read.password) == (b"user", b"secret")
    assert read.interface_version == smpplib.consts.SMPP_VERSION_34


@pytest.mark.parametrize("said", ["hello", LATIN, "x" * 160, "x" * 161, "y" * 320])
def test_smpplib_makes_the_same_parts(said):
    parts, coding, esm_class = smpplib.gsm.make_parts(said)
    ours = list(submit_bodies("334", NUMBER, said, 0))
    assert coding == 0
    assert len(parts) == len(ours)
    assert [part[6:] if esm_class else part for part in parts] == split(said)


class Provider(BaseHTTPRequestHandler):
    """Africa's Talking, as both clients see it."""

    def do_POST(self):
        content = self.rfile.read(int(self.headers["content-length"])).decode()
        self.server.seen.append((self.path, dict(parse_qsl(content)), self.headers["apiKey"]))
        recipients = [{"statusCode": 101, "number": NUMBER, "status": "Success"}]
        body = json.dumps({"SMSMessageData": {"Message": "Sent", "Recipients": recipients}})
        self.send_response(201)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *said):
        pass


def test_the_published_client_of_africas_talking_says_the_same_as_ours():
    server = HTTPServer(("127.0.0.1", 0), Provider)
    server.seen = []
    address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        service = SMSService("user", "the-key")
        service._baseUrl = f"{address}/version1"
        service.send("hello", [NUMBER], "HARAMBEE")

        async def story():
            sender = AfricasTalking("user", "the-key", "HARAMBEE", address)
            await sender.send(NUMBER, "hello")
            await sender.stop()

        asyncio.run(story())
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    theirs, ours = server.seen
    assert theirs == ours
