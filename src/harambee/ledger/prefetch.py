"""Telling the processor which record is wanted soon, so that it is in the cache when it is.

Payers and payees are random rows among gigabytes: each visit would otherwise wait about 100 ns for
memory, and an order makes four of them.
"""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic


def _prefetch(_typing: Any, _address: Any) -> Any:
    """Emit LLVM's prefetch for writing, to be kept in all levels of the cache."""

    def generate(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        pointer = builder.inttoptr(values[0], ir.IntType(8).as_pointer())
        flag = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, flag, flag, flag])
        function = builder.module.declare_intrinsic("llvm.prefetch", [pointer.type], kind)
        # For writing (1), of high locality (3), data and not instructions (1).
        builder.call(function, [pointer, flag(1), flag(3), flag(1)])
        return context.get_dummy_value()

    return types.void(types.int64), generate


prefetch = cast("Callable[[int | np.int64], None]", intrinsic(_prefetch))
"""prefetch(address): no effect but on speed, and no fault even where nothing is mapped."""
