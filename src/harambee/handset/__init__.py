"""A customer's device: keys, signed orders, receipts.

It knows doors, and not how agreement works inside.
"""
