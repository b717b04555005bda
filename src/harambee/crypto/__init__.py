"""Signatures, hashes and key files: everything secret or tamper-evident, and nothing about money.

Ed25519 and BLAKE2b-256, one at a time to be read and in batches off the GIL for whole blocks of
orders: by libsodium, and many signatures in one equation by `harambee.crypto.ed25519`. A public key
is 32 bytes, a signature 64, a digest 32.
"""
