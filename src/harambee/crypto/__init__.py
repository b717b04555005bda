"""Signatures, hashes and key files: everything secret or tamper-evident, and nothing about money.

Ed25519 and BLAKE2b-256 by libsodium, one at a time to be read and in batches off the GIL for whole
blocks of orders. A public key is 32 bytes, a signature 64, a digest 32.
"""
