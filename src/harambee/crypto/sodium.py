"""The one door to libsodium's machine code, for kernels that must not hold the GIL.

PyNaCl ships libsodium and calls it once per Python call. A block of ten thousand orders wants
ten thousand verifications in one call, with the GIL free for all of them, so our Numba kernels call
libsodium themselves: PyNaCl tells us the *address* of each function, and `call` below, a Numba
intrinsic, calls whatever lies at an address.

Rules for whoever writes such a kernel:

- The function's address is an **argument** of the kernel. Compiled kernels are cached on disk
  (`cache=True`), and the library lies elsewhere in every process; an address that is a global of
  the module would be frozen into the cached code.
- Buffers are passed as addresses too, which keep nothing alive. The Python caller holds a reference
  to every array until the kernel returns; kernels allocate nothing.
- Numba's cache notices a change of the kernel's own file, not of this one: after an edit here,
  clear the `__pycache__` of whatever calls it.
- Every argument is a 64-bit integer: addresses, lengths, 0 for NULL. The platform is asserted to
  agree.

`nacl._sodium` is a private module of PyNaCl. It is named in this file only, and before anyone may
use an address, known answers are computed through it: a release of PyNaCl that moved something
stops the program at import, with one sentence, rather than accept a forged signature.
"""

import ctypes
from collections.abc import Callable
from typing import Any, Final, cast

from llvmlite import ir
from nacl.bindings import sodium_init
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


class SodiumError(ImportError):
    """PyNaCl's libsodium is not the one this program was written against."""


def _address_of(name: str) -> int:
    """Return the address of libsodium's function `name`; SodiumError if PyNaCl hides it."""
    try:
        # Private, and without stubs; imported here so that its absence can be explained.
        from nacl._sodium import ffi, lib  # type: ignore[import-not-found]  # noqa: PLC0415

        return int(ffi.cast("uintptr_t", ffi.addressof(lib, name)))
    except (ImportError, AttributeError) as error:
        message = f"PyNaCl does not expose libsodium's {name}; install the pinned version of PyNaCl"
        raise SodiumError(message) from error


sodium_init()
assert ctypes.sizeof(ctypes.c_void_p) == 8, "kernels pass addresses as 64-bit integers"
assert ctypes.sizeof(ctypes.c_size_t) == 8, "kernels pass lengths as 64-bit integers"

# int crypto_sign_open(unsigned char *m, unsigned long long *mlen,
#                      const unsigned char *sm, unsigned long long smlen, const unsigned char *pk)
# m and mlen may be NULL; sm is signature ‖ message; 0 means that the signature holds.
SIGN_OPEN: Final = _address_of("crypto_sign_open")

# int crypto_sign(unsigned char *sm, unsigned long long *smlen,
#                 const unsigned char *m, unsigned long long mlen, const unsigned char *sk)
# smlen may be NULL; m may be sm + 64, so that the message need not be moved.
SIGN: Final = _address_of("crypto_sign")

# int crypto_sign_seed_keypair(unsigned char *pk, unsigned char *sk, const unsigned char *seed)
SIGN_SEED_KEYPAIR: Final = _address_of("crypto_sign_seed_keypair")

# int crypto_generichash_blake2b_salt_personal(unsigned char *out, size_t outlen,
#     const unsigned char *in, unsigned long long inlen, const unsigned char *key, size_t keylen,
#     const unsigned char *salt, const unsigned char *personal)
# Without key, salt and personal (NULL) this is plain BLAKE2b.
BLAKE2B: Final = _address_of("crypto_generichash_blake2b_salt_personal")

# int crypto_hash_sha512(unsigned char *out, const unsigned char *in, unsigned long long inlen)
SHA512: Final = _address_of("crypto_hash_sha512")

# void crypto_core_ed25519_scalar_reduce(unsigned char *r, const unsigned char *s)
# The 64 bytes at s as a number, modulo the order of the group, to 32 bytes. What `call` gives for a
# function without a result means nothing.
SCALAR_REDUCE: Final = _address_of("crypto_core_ed25519_scalar_reduce")


def _call(_typing: Any, _address: Any, arguments: Any) -> Any:
    """Emit a call of the C function at an address, as Numba's `intrinsic` wants it."""
    signature = types.int64(types.int64, arguments)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        word = ir.IntType(64)
        members = cgutils.unpack_tuple(builder, values[1])  # type: ignore[no-untyped-call]
        given = [
            context.cast(builder, value, kind, types.int64)
            for value, kind in zip(members, signature.args[1].types, strict=True)
        ]
        c_function = ir.FunctionType(ir.IntType(32), [word] * len(given))
        pointer = builder.inttoptr(values[0], c_function.as_pointer())
        return builder.sext(builder.call(pointer, given), word)

    return (signature, generate) if isinstance(arguments, types.BaseTuple) else None


def _copy_bytes(_typing: Any, _to_address: Any, _from_address: Any, _count: Any) -> Any:
    """Emit a copy of bytes from one address to another, as Numba's `intrinsic` wants it."""
    signature = types.void(types.int64, types.int64, types.int64)

    def generate(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        byte = ir.IntType(8).as_pointer()
        target = builder.inttoptr(values[0], byte)
        source = builder.inttoptr(values[1], byte)
        one = ir.Constant(ir.IntType(64), 1)
        cgutils.raw_memcpy(  # type: ignore[no-untyped-call]
            builder, target, source, values[2], one
        )
        return context.get_dummy_value()

    return signature, generate


# call(address, arguments): calls the C function with any number of 64-bit integers; its int result.
call = cast("Callable[[int, tuple[int, ...]], int]", intrinsic(_call))

# copy_bytes(to_address, from_address, count): the two stretches do not overlap.
copy_bytes = cast("Callable[[int, int, int], None]", intrinsic(_copy_bytes))


def _call_from_python(address: int, *arguments: int | ctypes.Array[ctypes.c_char] | bytes) -> int:
    """Call the function at `address` as a kernel would, slowly; for the known answers only."""
    words = [
        argument
        if isinstance(argument, int)
        else ctypes.cast(cast("Any", argument), ctypes.c_void_p).value or 0
        for argument in arguments
    ]
    prototype = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_uint64] * len(words))
    return int(prototype(address)(*words))


# RFC 8032, section 7.1, test 2; BLAKE2b-256 of "abc" as Python's hashlib gives it; its SHA-512 is
# that of FIPS 180-4, and the order of the group leaves no remainder of itself and one more.
_ORDER_AND_ONE = (2**252 + 27742317777372353535851937790883648493 + 1).to_bytes(64, "little")
_SEED = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
_PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
_SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)
_MESSAGE = b"\x72"
_LONG_DIGEST = bytes.fromhex(
    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
)
_DIGEST = bytes.fromhex("bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319")


def _wrong_answers() -> list[str]:
    """Return the names of the functions that do not give the known answer; none, if all is well."""
    public, secret = ctypes.create_string_buffer(32), ctypes.create_string_buffer(64)
    signed, digest = ctypes.create_string_buffer(65), ctypes.create_string_buffer(32)
    forged = bytes([_SIGNATURE[0] ^ 1]) + _SIGNATURE[1:] + _MESSAGE
    made = _call_from_python(SIGN_SEED_KEYPAIR, public, secret, _SEED)
    did_sign = _call_from_python(SIGN, signed, 0, _MESSAGE, 1, _SEED + _PUBLIC)
    opened = _call_from_python(SIGN_OPEN, 0, 0, _SIGNATURE + _MESSAGE, 65, _PUBLIC)
    opened_forged = _call_from_python(SIGN_OPEN, 0, 0, forged, 65, _PUBLIC)
    hashed = _call_from_python(BLAKE2B, digest, 32, b"abc", 3, 0, 0, 0, 0)
    long_hash, scalar = ctypes.create_string_buffer(64), ctypes.create_string_buffer(32)
    hashed_long = _call_from_python(SHA512, long_hash, b"abc", 3)
    _call_from_python(SCALAR_REDUCE, scalar, _ORDER_AND_ONE)
    right = {
        "crypto_sign_seed_keypair": made == 0
        and (public.raw, secret.raw) == (_PUBLIC, _SEED + _PUBLIC),
        "crypto_sign": did_sign == 0 and signed.raw == _SIGNATURE + _MESSAGE,
        "crypto_sign_open": opened == 0 and opened_forged == -1,
        "crypto_generichash_blake2b_salt_personal": hashed == 0 and digest.raw == _DIGEST,
        "crypto_hash_sha512": hashed_long == 0 and long_hash.raw == _LONG_DIGEST,
        "crypto_core_ed25519_scalar_reduce": scalar.raw == (1).to_bytes(32, "little"),
    }
    return [name for name, holds in right.items() if not holds]


if _wrong := _wrong_answers():
    raise SodiumError(
        f"libsodium gave a wrong answer to a known question ({', '.join(_wrong)}); "
        "install the pinned version of PyNaCl"
    )
