"""Arithmetic modulo p = 2^255 − 19, emitted as machine code for kernels: five limbs of 51 bits.

An *element* is a tuple of five uint64, (l0, …, l4), and stands for Σ lᵢ · 2^(51·i) modulo p. It is
not unique: limbs may be larger than 51 bits. Which bound holds where is the whole art, so it is
said once, here, and every function below says what it takes and gives.

- **narrow**: each limb at most 2^51 + 2^13. `multiply`, `square`, `narrowed` and `read` give it.
- **minus-able**: each limb at most that of 4·p, which are 2^53 − 76 and four times 2^53 − 4, so that
  it can be taken from 4·p limb by limb without a borrow. Narrow elements are, and sums of two, and
  what `negate` gives.
- **wide**: each limb below 2^54. `multiply`, `square`, `narrowed` and `is_zero` take it.

So sums and differences are not carried at all, and a formula is right if its operands stay wide.
Why wide is narrow enough for a product: a column is a₀·b₀ and four products times 19, below
77 · 2^108 < 2^115, which leaves a carry of less than 2^64 behind its 51 bits; the top column has
no factor 19. `_carried` says the rest.

The functions are Numba intrinsics that write LLVM's instructions themselves: Numba has no 128-bit
integers, and LLVM makes of these exactly `mulx` and `adc`. As in `harambee.crypto.sodium`, addresses
are 64-bit integers that keep nothing alive, and after an edit of this file the `__pycache__` beside
it has to be cleared.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias, cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

P: Final = 2**255 - 19
L: Final = 2**252 + 27742317777372353535851937790883648493
"""The order of the group that the base point generates; a prime."""

LIMBS: Final = 5
LIMB_BITS: Final = 51
ELEMENT_BYTES: Final = 8 * LIMBS

Element: TypeAlias = tuple[np.uint64, np.uint64, np.uint64, np.uint64, np.uint64]

assert sys.byteorder == "little", "numbers are read as they lie in memory"

_MASK: Final = (1 << LIMB_BITS) - 1
_FOUR_P: Final = (4 * ((1 << LIMB_BITS) - 19), *[4 * _MASK] * (LIMBS - 1))
assert sum(limb << LIMB_BITS * i for i, limb in enumerate(_FOUR_P)) == 4 * P
assert min(_FOUR_P) == 2**53 - 76

_BYTE, _WORD, _DOUBLE, _SCALAR, _LONG = (ir.IntType(bits) for bits in (8, 64, 128, 256, 512))
_ELEMENT: Final = types.UniTuple(types.uint64, LIMBS)  # type: ignore[no-untyped-call]

Words: TypeAlias = Sequence[Any]  # the five values of an element inside LLVM's builder


def element(value: int) -> Element:
    """Return the narrow element of a whole number, reduced; for constants and for tests."""
    limbs = [np.uint64((value % P) >> LIMB_BITS * i & _MASK) for i in range(LIMBS)]
    return cast("Element", tuple(limbs))


def _of_elements(arity: int, emit: Callable[..., Words]) -> Any:
    """Return an intrinsic from `arity` elements to one, from what emits it for lists of limbs."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        given = [cgutils.unpack_tuple(builder, value) for value in values]  # type: ignore[no-untyped-call]
        return context.make_tuple(builder, signature.return_type, emit(builder, *given))

    def of_one(_typing: Any, _a: Any) -> Any:
        return _ELEMENT(_ELEMENT), generate

    def of_two(_typing: Any, _a: Any, _b: Any) -> Any:
        return _ELEMENT(_ELEMENT, _ELEMENT), generate

    return intrinsic(of_one if arity == 1 else of_two)


def _product(builder: Any, a: Any, b: Any) -> Any:
    """Emit the 128-bit product of two words."""
    return builder.mul(builder.zext(a, _DOUBLE), builder.zext(b, _DOUBLE))


def _sum(builder: Any, terms: Sequence[Any]) -> Any:
    """Emit the sum of all terms."""
    total = terms[0]
    for term in terms[1:]:
        total = builder.add(total, term)
    return total


def _carried(builder: Any, columns: Sequence[Any]) -> Words:
    """Emit the narrow element of five 128-bit columns: the first below 77 · 2^108, the last 5 · 2^108.

    A column and the carry into it stay below 77 · 2^108 + 2^64 < 2^115, so that each carry, which is
    what lies above 51 bits, fits a word. The last is below (5 · 2^108 + 2^64) / 2^51 < 2^59.4; times
    19 (2^255 = 19 modulo p) it is below 2^63.7 and is added to 51 bits without overflow. What that
    carries into the second limb is below 2^13.
    """
    mask = _WORD(_MASK)
    limbs = []
    carry = _WORD(0)
    for column in columns:
        whole = builder.add(column, builder.zext(carry, _DOUBLE))
        limbs.append(builder.and_(builder.trunc(whole, _WORD), mask))
        carry = builder.trunc(builder.lshr(whole, _DOUBLE(LIMB_BITS)), _WORD)
    lowest = builder.add(limbs[0], builder.mul(carry, _WORD(19)))
    limbs[0] = builder.and_(lowest, mask)
    limbs[1] = builder.add(limbs[1], builder.lshr(lowest, _WORD(LIMB_BITS)))
    return limbs


def _multiply(builder: Any, a: Words, b: Words) -> Words:
    """Emit the product: column k takes aᵢ·bⱼ of i + j = k, and 19·aᵢ·bⱼ of i + j = k + 5.

    19·bⱼ < 19 · 2^54 < 2^59 fits a word.
    """
    b19 = [builder.mul(limb, _WORD(19)) for limb in b]
    return _carried(
        builder,
        [
            _sum(
                builder,
                [
                    _product(builder, a[i], b[k - i] if i <= k else b19[k - i + LIMBS])
                    for i in range(LIMBS)
                ],
            )
            for k in range(LIMBS)
        ],
    )


def _square(builder: Any, a: Words) -> Words:
    """Emit the same columns as `_multiply` for a·a, each pair of equal products made once."""
    doubled = [builder.shl(limb, _WORD(1)) for limb in a]
    a19 = [builder.mul(limb, _WORD(19)) for limb in a]
    columns = []
    for k in range(LIMBS):
        terms = []
        for i in range(LIMBS):
            j = (k - i) % LIMBS
            if i > j:
                continue
            other = a[j] if i + j < LIMBS else a19[j]
            terms.append(_product(builder, a[i] if i == j else doubled[i], other))
        columns.append(_sum(builder, terms))
    return _carried(builder, columns)


def _add(builder: Any, a: Words, b: Words) -> Words:
    """Emit the sum, not carried: of two narrow elements it is minus-able."""
    return [builder.add(x, y) for x, y in zip(a, b, strict=True)]


def _subtract(builder: Any, a: Words, b: Words) -> Words:
    """Emit a + 4·p − b, not carried: b is minus-able. Wide if a is a sum of up to three narrow ones."""
    lifted = [builder.add(x, _WORD(limb)) for x, limb in zip(a, _FOUR_P, strict=True)]
    return [builder.sub(x, y) for x, y in zip(lifted, b, strict=True)]


def _negate(builder: Any, a: Words) -> Words:
    """Emit 4·p − a: a is minus-able, and so is what comes out, limb by limb."""
    return [builder.sub(_WORD(limb), x) for limb, x in zip(_FOUR_P, a, strict=True)]


def _narrowed(builder: Any, a: Words) -> Words:
    """Emit the narrow element equal to a wide one: each carry is below 2^4."""
    return _carried(builder, [builder.zext(limb, _DOUBLE) for limb in a])


def _canonical(builder: Any, a: Words) -> Words:
    """Emit the limbs of the one number below p that equals a wide element.

    Carried twice, the number is below 2^255: the second carry out of the top is 1 only if all limbs
    above the lowest became 0. It is then at least p if and only if adding 19 carries out of the top,
    and in that case adding 19 and dropping the top carry subtracts p.
    """
    mask, bits = _WORD(_MASK), _WORD(LIMB_BITS)
    a = _narrowed(builder, _narrowed(builder, a))
    carry = _WORD(19)
    for limb in a:
        carry = builder.lshr(builder.add(limb, carry), bits)
    carry = builder.mul(carry, _WORD(19))
    limbs = []
    for limb in a:
        whole = builder.add(limb, carry)
        limbs.append(builder.and_(whole, mask))
        carry = builder.lshr(whole, bits)
    return limbs


# multiply(a, b), square(a): of wide elements; narrow.
multiply = cast("Callable[[Element, Element], Element]", _of_elements(2, _multiply))
square = cast("Callable[[Element], Element]", _of_elements(1, _square))
# add(a, b), subtract(a, b), negate(a): not carried; see the bounds above.
add = cast("Callable[[Element, Element], Element]", _of_elements(2, _add))
subtract = cast("Callable[[Element, Element], Element]", _of_elements(2, _subtract))
negate = cast("Callable[[Element], Element]", _of_elements(1, _negate))
# narrowed(a): the same number, narrow. canonical(a): the same number below p; of wide elements.
narrowed = cast("Callable[[Element], Element]", _of_elements(1, _narrowed))
canonical = cast("Callable[[Element], Element]", _of_elements(1, _canonical))


def _pointer(builder: Any, address: Any, kind: Any) -> Any:
    """Emit the pointer to a value of a kind at an address."""
    return builder.inttoptr(address, kind.as_pointer())


def _emit_choose(_typing: Any, _flag: Any, _a: Any, _b: Any) -> Any:
    """Emit the choice between two elements, without a jump that the processor would have to guess."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        flag = builder.icmp_unsigned("!=", values[0], _WORD(0))
        pairs = zip(*(cgutils.unpack_tuple(builder, value) for value in values[1:]), strict=True)  # type: ignore[no-untyped-call]
        chosen = [builder.select(flag, a, b) for a, b in pairs]
        return context.make_tuple(builder, signature.return_type, chosen)

    return _ELEMENT(types.int64, _ELEMENT, _ELEMENT), generate


def _emit_load(_typing: Any, _address: Any) -> Any:
    """Emit the load of an element."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        pointer = _pointer(builder, values[0], _WORD)
        limbs = [builder.load(builder.gep(pointer, [_WORD(i)])) for i in range(LIMBS)]
        return context.make_tuple(builder, signature.return_type, limbs)

    return _ELEMENT(types.int64), generate


def _emit_store(_typing: Any, _address: Any, _a: Any) -> Any:
    """Emit the store of an element."""

    def generate(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        pointer = _pointer(builder, values[0], _WORD)
        limbs = cgutils.unpack_tuple(builder, values[1])  # type: ignore[no-untyped-call]
        for i, limb in enumerate(limbs):
            builder.store(limb, builder.gep(pointer, [_WORD(i)]))
        return context.get_dummy_value()

    return types.void(types.int64, _ELEMENT), generate


def _load_number(builder: Any, address: Any, kind: Any) -> Any:
    """Emit the load of a little-endian number, wherever it lies."""
    number = builder.load(_pointer(builder, address, kind))
    number.align = 1
    return number


def _store_number(builder: Any, number: Any, address: Any) -> None:
    """Emit the store of a little-endian number, wherever it shall lie."""
    builder.store(number, _pointer(builder, address, number.type)).align = 1


def _emit_read(_typing: Any, _address: Any) -> Any:
    """Emit the narrow element of 32 bytes without their highest bit."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        number = _load_number(builder, values[0], _SCALAR)
        limbs = [
            builder.and_(
                builder.trunc(builder.lshr(number, _SCALAR(LIMB_BITS * i)), _WORD), _WORD(_MASK)
            )
            for i in range(LIMBS)
        ]
        return context.make_tuple(builder, signature.return_type, limbs)

    return _ELEMENT(types.int64), generate


def _emit_bits(_typing: Any, _address: Any, _offset: Any, _count: Any) -> Any:
    """Emit `count` (at most 24) bits of the number at an address, from bit `offset` on.

    It reads four bytes from the byte that holds the first bit.
    """

    def generate(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        address, offset, count = values
        place = builder.add(address, builder.lshr(offset, _WORD(3)))
        number = builder.zext(_load_number(builder, place, ir.IntType(32)), _WORD)
        number = builder.lshr(number, builder.and_(offset, _WORD(7)))
        mask = builder.sub(builder.shl(_WORD(1), count), _WORD(1))
        return builder.and_(number, mask)

    return types.int64(types.int64, types.int64, types.int64), generate


def _emit_byte(_typing: Any, _address: Any) -> Any:
    """Emit the byte at an address."""

    def generate(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        return builder.zext(builder.load(_pointer(builder, values[0], _BYTE)), _WORD)

    return types.int64(types.int64), generate


def _emit_put(kind: Any) -> Any:
    """Return what emits the store of a number of a kind's width."""

    def put(_typing: Any, _address: Any, _value: Any) -> Any:
        def generate(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
            number = values[1] if kind == _WORD else builder.trunc(values[1], kind)
            _store_number(builder, number, values[0])
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), generate

    return put


def _emit_get(kind: Any) -> Any:
    """Return what emits the load of a signed number of a kind's width."""

    def get(_typing: Any, _address: Any) -> Any:
        def generate(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
            number = _load_number(builder, values[0], kind)
            return number if kind == _WORD else builder.sext(number, _WORD)

        return types.int64(types.int64), generate

    return get


def _emit_is_reduced(_typing: Any, _address: Any) -> Any:
    """Emit whether the 32 bytes at an address are, without their highest bit, a number below p."""

    def generate(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        number = _load_number(builder, values[0], _SCALAR)
        number = builder.and_(number, _SCALAR((1 << 255) - 1))
        return builder.icmp_unsigned("<", number, _SCALAR(P))

    return types.boolean(types.int64), generate


def _emit_is_scalar(_typing: Any, _address: Any) -> Any:
    """Emit whether the 32 bytes at an address are a number below L."""

    def generate(_context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        number = _load_number(builder, values[0], _SCALAR)
        return builder.icmp_unsigned("<", number, _SCALAR(L))

    return types.boolean(types.int64), generate


def _emit_negate_scalar(_typing: Any, _address: Any) -> Any:
    """Emit the replacement of the number x at an address, at most L, by L − x."""

    def generate(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        number = _load_number(builder, values[0], _SCALAR)
        _store_number(builder, builder.sub(_SCALAR(L), number), values[0])
        return context.get_dummy_value()

    return types.void(types.int64), generate


def _emit_add_product(_typing: Any, _total: Any, _a: Any, _b: Any) -> Any:
    """Emit total += a · b for numbers of 64, 16 and 32 bytes; what exceeds 64 bytes is lost."""

    def generate(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        a, b = (
            [_load_number(builder, builder.add(address, _WORD(8 * i)), _WORD) for i in range(words)]
            for address, words in zip(values[1:], (2, 4), strict=True)
        )
        total = _load_number(builder, values[0], _LONG)
        for i, x in enumerate(a):
            for j, y in enumerate(b):
                product = builder.zext(_product(builder, x, y), _LONG)
                total = builder.add(total, builder.shl(product, _LONG(64 * (i + j))))
        _store_number(builder, total, values[0])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


# choose(flag, a, b): a if the flag is not 0, else b.
choose = cast("Callable[[int | np.int64, Element, Element], Element]", intrinsic(_emit_choose))
# load(address), store(address, a): 40 bytes, aligned to 8.
load = cast("Callable[[int], Element]", intrinsic(_emit_load))
store = cast("Callable[[int, Element], None]", intrinsic(_emit_store))
# read(address): the element of an encoding, whose highest bit is a sign and not read. is_reduced says
# whether it is written as the number below p that it is.
is_reduced = cast("Callable[[int], bool]", intrinsic(_emit_is_reduced))
read = cast("Callable[[int], Element]", intrinsic(_emit_read))
# bits(address, offset, count), byte(address): not negative.
bits = cast("Callable[[int, int, int], int]", intrinsic(_emit_bits))
byte = cast("Callable[[int], int]", intrinsic(_emit_byte))
# Numbers of one, two and eight bytes; those that are read are signed.
put_byte = cast("Callable[[int, int], None]", intrinsic(_emit_put(_BYTE)))
put_digit = cast("Callable[[int, int], None]", intrinsic(_emit_put(ir.IntType(16))))
get_digit = cast("Callable[[int], int]", intrinsic(_emit_get(ir.IntType(16))))
put_word = cast("Callable[[int, int], None]", intrinsic(_emit_put(_WORD)))
get_word = cast("Callable[[int], int]", intrinsic(_emit_get(_WORD)))
# Whole numbers of 32 bytes; add_product(total, a, b) of 64, 16 and 32 bytes.
is_scalar = cast("Callable[[int], bool]", intrinsic(_emit_is_scalar))
negate_scalar = cast("Callable[[int], None]", intrinsic(_emit_negate_scalar))
add_product = cast("Callable[[int, int, int], None]", intrinsic(_emit_add_product))
