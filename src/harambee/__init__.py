"""Mobile money with no central switch: every super-agent holds the whole ledger."""

__version__ = "0.1.0"

if not __debug__:
    # The layouts, limits and invariants are asserted where they are declared; `-O` would delete
    # those assertions silently, and a ledger that no longer checks itself must not run.
    raise RuntimeError(
        "harambee does not run under python -O or PYTHONOPTIMIZE: "
        "they delete the assertions that keep money safe"
    )
