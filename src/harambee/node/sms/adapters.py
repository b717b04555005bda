"""Which text port a super-agent's configuration names."""

import os
from pathlib import Path
from typing import Final

from harambee.crypto.device_keys import DeviceKeyPlace
from harambee.crypto.key_places import EnvironmentKey, parse_place
from harambee.node.config import Address, ConfigError, NodeConfig
from harambee.node.outbox import Outbox
from harambee.node.sms.africastalking import ADDRESS, AfricasTalking
from harambee.node.sms.sending import Sender, SmsPort, Telephones
from harambee.node.sms.smpp import Smpp
from harambee.node.texts import TextPort

SECRET_BYTES_MAX: Final = 512
ANYONE_ELSE: Final = 0o077


def text_port(config: NodeConfig, telephones: Telephones) -> TextPort:
    """Return where texts go; ConfigError, which repeats no secret, where that cannot be used."""
    outbox = Outbox(config.texts_folder)
    if config.texts == "outbox":
        return outbox
    if not config.sms_user:
        raise ConfigError(f"{config.file}: sms_user is missing, and texts are to go by SMS")
    return SmsPort(_sender(config, read_secret(config)), telephones, outbox)


def _sender(config: NodeConfig, secret: str) -> Sender:
    if config.texts == "africastalking":
        address = config.sms_address or ADDRESS
        if not address.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
            raise ConfigError(f"{config.file}: sms_address is no https address")
        return AfricasTalking(config.sms_user, secret, config.sms_sender, address.rstrip("/"))
    try:
        host, port = Address.parse(config.sms_address)
    except ConfigError as error:
        raise ConfigError(f"{config.file}: sms_address: {error}") from None
    return Smpp(host, port, config.sms_user, secret, config.sms_sender)


def read_secret(config: NodeConfig) -> str:
    """Return the API key or password; ConfigError where there is none, or others may read it."""
    file = config.file
    if not config.sms_secret:
        raise ConfigError(f"{file}: sms_secret is missing, and texts are to go by SMS")
    try:
        place = parse_place(config.sms_secret, file.resolve().parent)
    except ValueError as error:
        raise ConfigError(f"{file}: sms_secret: {error}") from None
    if isinstance(place, DeviceKeyPlace):
        raise ConfigError(f"{file}: sms_secret: a secret is in a file or a variable, in no device")
    if isinstance(place, EnvironmentKey):
        secret = os.environ.get(place.variable, "").strip()
        if not secret:
            raise ConfigError(f"{file}: sms_secret: {place} is not set")
        return secret
    return _of_file(file, place)


def _of_file(file: Path, place: Path) -> str:
    try:
        if place.stat().st_mode & ANYONE_ELSE:
            raise ConfigError(f"{file}: sms_secret: others than its owner may read {place}")
        with place.open("rb") as opened:
            content = opened.read(SECRET_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"{file}: sms_secret: cannot read {place}: {error.strerror}") from None
    if not content.strip() or len(content) > SECRET_BYTES_MAX or not content.isascii():
        raise ConfigError(f"{file}: sms_secret: {place} holds no secret of one line")
    return content.decode("ascii").strip()
