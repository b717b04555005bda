"""Frames: what super-agents say to each other over a link, type and content under one length.

docs/wire.md, section 10.
"""

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

FRAME_BYTES_MAX: Final = (4 << 20) + 64
"""Type and content of a frame together; docs/wire.md, section 10."""

_LENGTH: Final = struct.Struct("<I")
_HEAD: Final = struct.Struct("<IB")


class FrameType(IntEnum):
    """What a frame contains."""

    HELLO = 1
    BLOCK = 2
    HEADS = 3
    FETCH = 4
    ASK_HEADS = 5
    FETCHED = 6
    FETCH_NAMED = 16
    WORD = 17
    ASK_WORDS = 18
    ASK_INDEX = 19
    INDEX = 20
    ASK_PAGES = 21
    PAGE = 22
    WORDS_TOLD = 23
    ERRAND = 32
    ERRAND_ANSWER = 33


class FrameError(ValueError):
    """The other side sent what is no frame; the message says what was wrong with it."""


class Frame:
    """One frame; its bytes are made when a link first needs them, once for all that do."""

    __slots__ = ("_data", "content", "kind", "size")

    def __init__(self, kind: int, content: bytes) -> None:
        """Of this type (0 to 255); ValueError if the content is too long for one."""
        if 1 + len(content) > FRAME_BYTES_MAX:
            raise ValueError(f"a frame cannot have {len(content)} bytes of content")
        self.kind = kind
        self.content = content
        self.size = _HEAD.size + len(content)
        self._data: bytes | None = None

    @property
    def data(self) -> bytes:
        """As it goes over a link."""
        if self._data is None:
            self._data = _HEAD.pack(1 + len(self.content), self.kind) + self.content
        return self._data


class Frames:
    """Cuts a stream of bytes into frames; bytes go in as they come."""

    def __init__(self, bytes_max: int = FRAME_BYTES_MAX) -> None:
        """`bytes_max` is the most that type and content of one frame may have together."""
        self.bytes_max = bytes_max
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield (type, content) of each frame that `data` completes.

        FrameError at a frame that is empty or longer than `bytes_max`; nothing may be fed then.
        """
        buffer = self._buffer
        buffer += data
        start = 0
        while len(buffer) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer, start)
            if length == 0:
                raise FrameError("a frame without a type")
            if length > self.bytes_max:
                raise FrameError(f"a frame of {length} bytes where {self.bytes_max} are allowed")
            end = start + _LENGTH.size + length
            if len(buffer) < end:
                break
            kind = buffer[start + _LENGTH.size]
            yield kind, bytes(memoryview(buffer)[start + _HEAD.size : end])
            start = end
        del buffer[:start]
