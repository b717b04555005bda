"""Texts by SMS: what providers take, refuse and cannot take now, and nothing secret in any of it."""

import asyncio
import json
import logging
from dataclasses import replace

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from tests.node.test_runner import make_folder

from harambee.node.config import ConfigError, read_config
from harambee.node.outbox import Outbox, OutboxReader
from harambee.node.sms import smpp
from harambee.node.sms.adapters import text_port
from harambee.node.sms.africastalking import AfricasTalking, judge
from harambee.node.sms.sending import RefusedError, SmsPort
from harambee.node.sms.smpp import Smpp
from harambee.node.sms.smpp_wire import (
    HEAD,
    PART_MAX,
    PDU_BYTES_MAX,
    RESPONSE,
    Command,
    Pdu,
    SmppError,
    Status,
    body_bytes,
    split,
    submit_bodies,
)
from harambee.node.texts import Text, TextPortError
from harambee.texts.gsm import _SHOWN, fold, segments
from harambee.texts.languages import Language

SECRET = "s3cr3t-k"
NUMBER = "+254712345678"


def text_of(account, said="QC352PDIVL Confirmed.", code="QC352PDIVL"):
    return Text(account, Language.ENGLISH, "sent", code, 0, said)


async def telephones(accounts):
    return {account: f"+25471234567{account}" for account in accounts if account < 9}


# -- whatever the provider ------------------------------------------------------------------------


class Provider:
    def __init__(self):
        self.taken = []
        self.fails_after = None
        self.refuses = set()

    async def send(self, number, text):
        if number in self.refuses:
            raise RefusedError("no such telephone")
        if self.fails_after is not None and len(self.taken) >= self.fails_after:
            raise TextPortError("the provider is down")
        self.taken.append((number, text))

    async def stop(self):
        pass


def test_what_was_taken_before_a_failure_is_not_sent_again(tmp_path):
    async def story():
        provider, outbox = Provider(), Outbox(tmp_path)
        port = SmsPort(provider, telephones, outbox)
        texts = [text_of(account) for account in range(1, 8)]
        provider.fails_after = 3
        with pytest.raises(TextPortError):
            await port.send(texts)
        provider.fails_after = None
        await port.send(texts)
        assert sorted(number for number, _ in provider.taken) == [
            f"+25471234567{account}" for account in range(1, 8)
        ]
        # Another day the same text is another one.
        await port.send(texts[:1])
        assert len(provider.taken) == 8
        assert not (tmp_path / "outbox.jsonl").exists()

    asyncio.run(story())


def test_what_cannot_be_sent_is_in_the_outbox_and_holds_up_nobody(tmp_path):
    async def story():
        provider = Provider()
        provider.refuses = {"+254712345672"}
        port = SmsPort(provider, telephones, Outbox(tmp_path))
        await port.send([text_of(1), text_of(2), text_of(77)])
        assert [number for number, _ in provider.taken] == ["+254712345671"]
        left = OutboxReader(tmp_path).newest(10)
        assert sorted(line.account for line in left) == [2, 77]

    asyncio.run(story())


# -- Africa's Talking -----------------------------------------------------------------------------


def answer(*codes):
    recipients = [
        {"statusCode": code, "number": NUMBER, "status": "", "cost": "0"} for code in codes
    ]
    return json.dumps({"SMSMessageData": {"Message": "Sent", "Recipients": recipients}}).encode()


@pytest.mark.parametrize(
    ("content", "raised"),
    [
        (answer(101), None),
        (answer(102), None),
        (answer(403), RefusedError),
        (answer(), RefusedError),
        (answer(101, 101), RefusedError),
        (answer(405), TextPortError),
        (answer(500), TextPortError),
        (b"", TextPortError),
        (b"[]", TextPortError),
        (b'{"SMSMessageData": {"Recipients": [{"statusCode": "x"}]}}', TextPortError),
        (b"[" * 5_000, TextPortError),
    ],
)
def test_an_answer_of_africas_talking_is_judged(content, raised):
    if raised is None:
        judge(content)
    else:
        with pytest.raises(raised):
            judge(content)


@given(st.binary(max_size=200))
def test_no_answer_of_africas_talking_breaks_the_reader(content):
    with pytest.raises((TextPortError, RefusedError)):
        judge(content)


def test_a_text_goes_to_africas_talking_with_the_key_in_the_head():
    async def story():
        seen, status = [], [201]

        async def messaging(request):
            seen.append((dict(await request.post()), request.headers["apiKey"]))
            return web.Response(status=status[0], body=answer(101))

        app = web.Application()
        app.router.add_post("/version1/messaging", messaging)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        sender = AfricasTalking("user", SECRET, "HARAMBEE", f"http://127.0.0.1:{port}")
        try:
            await sender.send(NUMBER, "hello")
            status[0] = 401
            with pytest.raises(TextPortError, match="status 401"):
                await sender.send(NUMBER, "hello")
        finally:
            await sender.stop()
            await runner.cleanup()
        form = {
            "username": "user",
            "to": NUMBER,
            "message": "hello",
            "bulkSMSMode": "1",
            "from": "HARAMBEE",
        }
        assert seen[0] == (form, SECRET)
        with pytest.raises(TextPortError, match="cannot be reached"):
            await sender.send(NUMBER, "hello")
        await sender.stop()
        assert SECRET not in repr(sender)

    asyncio.run(story())


# -- SMPP -----------------------------------------------------------------------------------------


class Smsc:
    """An SMSC that says what it is told to say."""

    def __init__(self):
        self.seen = []
        self.statuses = []
        self.silent = False
        self.password = SECRET
        self.writers = []

    async def serve(self, reader, writer):
        self.writers.append(writer)
        try:
            while True:
                head = await reader.readexactly(HEAD.size)
                length, command, _, sequence = HEAD.unpack(head)
                body = await reader.readexactly(length - HEAD.size)
                self.seen.append((command, body))
                if self.silent:
                    continue
                status = 0
                if command == Command.BIND_TRANSMITTER:
                    status = 0 if self.password.encode() in body else 0x0E
                elif command == Command.SUBMIT_SM and self.statuses:
                    status = self.statuses.pop(0)
                writer.write(Pdu(command | RESPONSE, status, sequence, b"id\0").to_bytes())
        except asyncio.IncompleteReadError:
            writer.close()

    def commands(self):
        return [command for command, _ in self.seen]


def with_smsc(tell):
    async def story():
        smsc = Smsc()
        server = await asyncio.start_server(smsc.serve, "127.0.0.1", 0)
        client = Smpp("127.0.0.1", server.sockets[0].getsockname()[1], "user", SECRET, "334")
        try:
            await tell(smsc, client)
        finally:
            await client.stop()
            for writer in smsc.writers:
                writer.close()
            server.close()

    asyncio.run(story())


def test_texts_go_over_one_bound_connection():
    async def tell(smsc, client):
        await asyncio.gather(*(client.send(NUMBER, f"text {at}") for at in range(5)))
        await client.send(NUMBER, "x" * 161)
        await client.stop()
        submits = smsc.commands().count(Command.SUBMIT_SM)
        assert submits == 5 + 2
        assert smsc.commands()[0] == Command.BIND_TRANSMITTER
        assert smsc.commands().count(Command.BIND_TRANSMITTER) == 1
        assert smsc.commands()[-1] == Command.UNBIND
        first = next(body for command, body in smsc.seen if command == Command.SUBMIT_SM)
        assert b"\0254712345678\0"[1:] in first
        assert first.endswith(b"text 0")

    with_smsc(tell)


def test_what_the_smsc_says_decides_whether_a_text_is_sent_again():
    async def tell(smsc, client):
        smsc.statuses = [Status.THROTTLED, 0x0B, 0]
        with pytest.raises(TextPortError, match="status 88"):
            await client.send(NUMBER, "throttled")
        with pytest.raises(RefusedError, match="status 11"):
            await client.send(NUMBER, "no such address")
        await client.send(NUMBER, "taken")

    with_smsc(tell)


def test_a_wrong_password_and_a_connection_that_breaks():
    async def tell(smsc, client):
        smsc.password = "another"
        with pytest.raises(TextPortError, match="status 14"):
            await client.send(NUMBER, "hello")
        smsc.password = SECRET
        await client.send(NUMBER, "hello")
        smsc.writers[-1].close()
        async with asyncio.timeout(5):
            while True:
                try:
                    await client.send(NUMBER, "again")
                except TextPortError:
                    continue
                break
        assert smsc.commands().count(Command.BIND_TRANSMITTER) == 3

    with_smsc(tell)


def test_an_smsc_that_says_nothing_or_nonsense(monkeypatch):
    monkeypatch.setattr(smpp, "ANSWER_S", 0.05)

    async def tell(smsc, client):
        smsc.silent = True
        with pytest.raises(TextPortError):
            await client.send(NUMBER, "hello")
        smsc.silent = False
        await client.send(NUMBER, "hello")
        smsc.writers[-1].write(b"\xff" * 64)
        await asyncio.sleep(0)
        async with asyncio.timeout(5):
            while True:
                try:
                    await client.send(NUMBER, "hello")
                except TextPortError:
                    continue
                if smsc.commands().count(Command.BIND_TRANSMITTER) > 2:
                    break

    with_smsc(tell)


@given(st.binary(min_size=HEAD.size, max_size=HEAD.size))
def test_a_head_is_within_bounds_or_ends_the_connection(head):
    try:
        assert 0 <= body_bytes(head) <= PDU_BYTES_MAX - HEAD.size
    except SmppError:
        length = HEAD.unpack(head)[0]
        assert not HEAD.size <= length <= PDU_BYTES_MAX


@given(st.text(st.sampled_from(sorted(_SHOWN)), max_size=400))
def test_a_text_goes_in_as_many_parts_as_it_has_segments(said):
    parts = split(said)
    assert len(parts) == segments(said)
    if len(parts) > 1:
        assert all(len(part) <= PART_MAX for part in parts)
        assert not any(part.endswith(b"\x1b") for part in parts)
    bodies = list(submit_bodies("HARAMBEE", NUMBER, said, 7))
    assert [body.endswith(part) for body, part in zip(bodies, parts, strict=True)]


@given(st.text(max_size=200))
def test_whatever_is_folded_can_be_sent(said):
    assert len(split(fold(said))) <= 4


# -- the configuration ----------------------------------------------------------------------------


def test_the_configuration_names_the_adapter_and_its_secret_is_for_its_owner_alone(
    tmp_path, monkeypatch
):
    folder = make_folder(tmp_path)
    config = read_config(folder.node_file(folder.names[0]))
    assert isinstance(text_port(config, telephones), Outbox)
    api = replace(config, texts="africastalking", sms_user="user", sms_secret="sms.secret")
    secret = config.file.parent / "sms.secret"
    with pytest.raises(ConfigError, match="cannot read"):
        text_port(api, telephones)
    secret.write_text(f"{SECRET}\n", encoding="ascii")
    secret.chmod(0o644)
    with pytest.raises(ConfigError, match="others than its owner"):
        text_port(api, telephones)
    secret.chmod(0o600)
    port = text_port(api, telephones)
    assert port.sender == AfricasTalking("user", SECRET)
    with pytest.raises(ConfigError, match="https"):
        text_port(replace(api, sms_address="http://example.org"), telephones)
    by_variable = replace(api, texts="smpp", sms_secret="env:SMS", sms_address="127.0.0.1:2775")
    with pytest.raises(ConfigError, match="SMS is not set"):
        text_port(by_variable, telephones)
    monkeypatch.setenv("SMS", SECRET)
    sender = text_port(by_variable, telephones).sender
    assert (sender.host, sender.port, sender.secret) == ("127.0.0.1", 2775, SECRET)
    with pytest.raises(ConfigError, match="sms_user"):
        text_port(replace(api, sms_user=""), telephones)
    assert SECRET not in repr(port) + repr(config)


def test_no_log_has_a_secret_or_a_number(caplog, tmp_path):
    async def tell(smsc, client):
        smsc.statuses = [0x0B]
        await SmsPort(client, telephones, Outbox(tmp_path)).send([text_of(8)])

    with caplog.at_level(logging.DEBUG):
        with_smsc(tell)
    assert "a text was refused" in caplog.text
    assert SECRET not in caplog.text
    assert NUMBER not in caplog.text
