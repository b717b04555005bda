"""The web wallet: a handset in a browser, as files that every super-agent serves at /wallet/.

Plain JavaScript modules without a build step; nothing of them runs here. They are a handset of their own:
they sign on the device, believe no super-agent alone, and write the bytes of docs/wire.md, which tests
compare with what `harambee.handset` writes. docs/wallet.md says how it is made.
"""
