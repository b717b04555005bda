"""Published clients of Daraja against a network of four, each as it is on PyPI.

Two of them take an address. The third knows only https://sandbox.safaricom.co.ke: in a mount namespace of
its own that name is this machine, and a door with a certificate of a throwaway authority stands there. Each
connection is led to another super-agent, so that a token of one is shown to the others.
"""

import asyncio
import datetime as dt
import ipaddress
import itertools
import json
import os
import shutil
import ssl
import subprocess
import sys
import tarfile
import threading
from collections import defaultdict
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.accept.quiet_network import get
from tests.accept.test_up_and_pay import HARAMBEE, document_of, harambee, processes_of, up

from harambee.node.network_folder import load_network
from harambee.traffic.temporary_network import free_ports

pytestmark = [pytest.mark.accept, pytest.mark.timeout(300)]

JOURNEYS = Path(__file__).with_name("daraja_journeys.py")
SUITE = Path("tests") / "integration" / "test_sandbox.py"
SUITE_REQUIREMENTS = Path(__file__).parents[2] / "requirements" / "daraja-suite.txt"
SANDBOX = "sandbox.safaricom.co.ke"
SHORT_CODE, BILLER, PHONE = "174379", "600000", "254708374149"
TOLD_S = 30
JOURNEY_S = 150


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A development network, and a handset that pays whatever its owner is asked."""
    place = tmp_path_factory.mktemp("daraja")
    folder, base = place / "network", free_ports(8)
    ports = ["--http-port", str(base), "--peer-port", str(base + 4)]
    made = harambee(folder, "init", *ports)
    assert made.returncode == 0, made.stderr
    with up(folder, place / "said.txt"), handset(folder, place / "handset.txt"):
        yield load_network(folder)


@contextmanager
def handset(folder, said):
    """The sandbox customer's handset, unless `up` has brought her one."""
    lines = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in processes_of(folder)]
    if any(b"\0handset\0" in line for line in lines):
        yield
        return
    with said.open("wb") as output:
        process = subprocess.Popen(
            [HARAMBEE, "--network", str(folder), "handset", PHONE, "--approve", "all"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(15)


class Receiver(ThreadingHTTPServer):
    """Keeps what is posted to each place, and tells it once something was."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Place)
        self.posted = defaultdict(list)
        self.news = threading.Condition()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def told(self, place, wanted=lambda document: True):
        """Wait until a `wanted` document is posted to a place; return all of them."""

        def found():
            return [document for document in self.posted[place] if wanted(document)]

        with self.news:
            self.news.wait_for(found, TOLD_S)
            return found()


class _Place(BaseHTTPRequestHandler):
    def do_POST(self):
        document = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with self.server.news:
            self.server.posted[self.path.strip("/")].append(document)
            self.server.news.notify_all()
        self._answer({"ResultCode": "0", "ResultDesc": "Accepted"})

    def do_GET(self):
        self._answer(self.server.told(self.path.strip("/")))

    def _answer(self, document):
        content = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def receiver():
    with serving(Receiver()) as server:
        yield server


@contextmanager
def serving(server):
    """A receiver that takes what is posted to it, until it is left."""
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def entrance(urls, port=0, tls=None):
    """A port that leads each connection to the next of the doors; yields its number."""
    doors = itertools.cycle([urlsplit(url) for url in urls])
    loop = asyncio.new_event_loop()
    started, numbers = threading.Event(), []
    ending = asyncio.Event()

    async def lead(reader, writer):
        door = next(doors)
        inner_reader, inner_writer = await asyncio.open_connection(door.hostname, door.port)
        await asyncio.gather(pour(reader, inner_writer), pour(inner_reader, writer))

    async def pour(source, sink):
        try:
            while content := await source.read(1 << 16):
                sink.write(content)
                await sink.drain()
        except ConnectionError:
            return
        finally:
            sink.close()

    async def serve():
        server = await asyncio.start_server(lead, "127.0.0.1", port, ssl=tls)
        numbers.append(server.sockets[0].getsockname()[1])
        started.set()
        await ending.wait()
        server.close()
        pouring = asyncio.all_tasks() - {asyncio.current_task()}
        for task in pouring:
            task.cancel()
        await asyncio.gather(*pouring, return_exceptions=True)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert started.wait(10), "the entrance does not open"
        yield numbers[0]
    finally:
        loop.call_soon_threadsafe(ending.set)
        thread.join()
        loop.close()


def settings(network, receiver, base_url, place):
    """What a merchant's software is configured with, from the file for developers."""
    known = json.loads((network.folder / "sandbox.json").read_text())
    certificate = place / "home.cer"
    certificate.write_bytes(certificate_of(network))
    return {
        "base_url": base_url,
        "callbacks": receiver.address,
        "consumer_key": known["consumer_key"],
        "consumer_secret": known["consumer_secret"],
        "passkey": known["passkey"],
        "initiator": known["initiators"][0],
        "initiator_password": known["initiator_password"],
        "certificate": str(certificate),
        "short_code": SHORT_CODE,
        "biller": BILLER,
        "phone": PHONE,
    }


def certificate_of(network):
    """The certificate of the merchant's home, at which the others point."""
    path = f"/mpesa/credentials/v1/certificate?ShortCode={SHORT_CODE}"
    answers = {address.name: get(address.http, path) for address in network.addresses}
    [home] = [name for name, answer in answers.items() if answer.status == 200]
    for name, answer in answers.items():
        assert name == home or answer.document["errorMessage"].endswith(home)
    return answers[home].body


def run_journey(client, configured, before=(), **environment):
    done = subprocess.run(
        [*before, sys.executable, str(JOURNEYS), client],
        input=json.dumps(configured),
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=JOURNEY_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("client", ["daraja_v3", "mpesa_wrapper"])
def test_a_client_that_takes_an_address(network, receiver, tmp_path, client):
    with entrance([address.http for address in network.addresses]) as port:
        url = f"http://127.0.0.1:{port}"
        run_journey(client, settings(network, receiver, url, tmp_path))


def test_a_payment_that_nobody_asked_for_is_validated_and_confirmed(network, receiver):
    """The addresses are those that the first client has registered."""
    told = ["pay", "customer-1", f"paybill:{SHORT_CODE}", "50", "--account", "INV-9"]
    paid = document_of(network.folder, *told)
    assert paid["status"] == "final"
    [question] = receiver.told(
        "v3-validation", lambda document: document["BillRefNumber"] == "INV-9"
    )
    assert question["OrgAccountBalance"] == ""
    # What was asked for is confirmed there too, and anything is told at least once.
    confirmations = receiver.told(
        "v3-confirmation", lambda document: document["TransID"] == paid["receipt_code"]
    )
    assert confirmations
    for document in (question, *confirmations):
        assert (document["TransAmount"], document["BillRefNumber"]) == ("50.00", "INV-9")
        assert document["BusinessShortCode"] == SHORT_CODE


def test_a_simulated_payment_is_confirmed(receiver):
    """The second client has made it up: its biller is asked before the customer is."""
    for place in ("v3-validation", "v3-confirmation"):
        told = receiver.told(place, lambda document: document["BillRefNumber"] == "INV-4")
        assert told, place
        assert {document["TransAmount"] for document in told} == {"9.00"}
        assert {document["MSISDN"] for document in told} == {PHONE}


def test_a_client_that_knows_one_host_only(network, receiver, tmp_path):
    configured = settings(network, receiver, f"https://{SANDBOX}", tmp_path)
    with entrance_of_the_sandbox(network, tmp_path) as (before, environment):
        run_journey("daraja_sdk", configured, before, **environment)


@contextmanager
def entrance_of_the_sandbox(network, place):
    """Stand where clients look for the sandbox; yields what goes before a command, and its environment."""
    authority, tls = throwaway_authority(place)
    hosts = place / "hosts"
    hosts.write_text(f"127.0.0.1 localhost {SANDBOX}\n")
    redirect = f'mount --bind {hosts} /etc/hosts && exec "$@"'
    unshare = shutil.which("unshare")
    assert unshare, "unshare belongs to util-linux"
    trusted = {
        "REQUESTS_CA_BUNDLE": str(authority),
        "SSL_CERT_FILE": str(authority),
        "SSL_CERT_DIR": str(place / "none"),
    }
    with entrance([address.http for address in network.addresses], 443, tls):
        yield [unshare, "-m", "sh", "-c", redirect, "sh"], trusted


def test_the_third_clients_own_suite_passes(network, tmp_path):
    """Its tests against the sandbox, as they lie in its source on PyPI."""
    suite = source_of_the_third_client(tmp_path)
    known = json.loads((network.folder / "sandbox.json").read_text())
    with entrance_of_the_sandbox(network, tmp_path) as (before, environment):
        done = subprocess.run(
            [*before, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(SUITE)],
            cwd=suite,
            env=os.environ
            | environment
            | {
                "MPESA_CONSUMER_KEY": known["consumer_key"],
                "MPESA_CONSUMER_SECRET": known["consumer_secret"],
                "MPESA_PASSKEY": known["passkey"],
                "MPESA_INITIATOR_NAME": known["initiators"][0],
                "MPESA_INITIATOR_PASSWORD": known["initiator_password"],
            },
            capture_output=True,
            text=True,
            timeout=JOURNEY_S,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-8_000:] + done.stderr
    assert "21 passed" in done.stdout


def source_of_the_third_client(place):
    """Its source archive, held to the digest that stands in requirements/."""
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    chosen = ["--no-binary", ":all:", "-r", str(SUITE_REQUIREMENTS), "-d", str(place)]
    subprocess.run([*download, *chosen], check=True, timeout=JOURNEY_S)
    [archive] = place.glob("daraja_sdk_py-*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(place, filter="data")
    return archive.with_name(archive.name.removesuffix(".tar.gz"))


def test_a_business_pays_what_the_third_client_asks_it_for(network, receiver):
    """Nobody but whoever has its key could: its operator, with her wallet."""
    paid = document_of(network.folder, "accept", f"paybill-{BILLER}")
    assert paid["status"] == "final", paid
    [told] = receiver.told("sdk-express")[:1]
    assert (told["resultCode"], told["status"]) == ("0", "SUCCESS")
    assert (told["requestId"], told["transactionId"]) == ("REQ001", paid["receipt_code"])


def test_a_payment_of_the_third_clients_invoice_is_told(network, receiver):
    told = ["pay", "customer-1", f"paybill:{SHORT_CODE}", "50", "--account", "sdk-meter"]
    paid = document_of(network.folder, *told)
    [push] = receiver.told("sdk-bills")[:1]
    assert (push["transactionId"], push["paidAmount"]) == (paid["receipt_code"], "50")
    assert (push["accountReference"], push["shortCode"]) == ("sdk-meter", SHORT_CODE)


def test_the_first_payment_of_the_third_clients_standing_order_is_made_unasked(receiver):
    """Her handset agreed to it; it is confirmed at the address of all payments."""
    [told] = receiver.told(
        "v3-confirmation", lambda document: document["BillRefNumber"] == "HOUSE-7"
    )[:1]
    assert (told["TransAmount"], told["BusinessShortCode"]) == ("45.00", SHORT_CODE)


def throwaway_authority(place):
    """Return the file of an authority's certificate, and the TLS of a door that it vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, SANDBOX)])
    now = dt.datetime.now(dt.UTC)
    names = [x509.DNSName(SANDBOX), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=12))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=True,
                crl_sign=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    authority, secret = place / "authority.pem", place / "authority.key"
    authority.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(authority, secret)
    return authority, tls
