"""What those see who watch over the network: who owes whom, where the trust money is, what looks odd.

Pure functions over orders and accounts that anyone may read, the documents that super-agents sign
about them, and how a stranger asks for them. Nothing here is needed to pay.
"""
