"""Records, rules, kernels and invariants of the ledger.

It knows accounts and orders, and no super-agents.
"""
