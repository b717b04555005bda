"""Feature phones: accounts whose key a super-agent keeps for its owner, released by her PIN.

A telephone that shows text and nothing else cannot sign. Its key is kept by three super-agents, the
holders of the account (`protocol.holders`): its home, and two alternates for the day when that is down.

| file | what it is |
|---|---|
| `tries` | how wrong PINs are counted over three holders together |
| `pins` | what is kept of a PIN |
| `rows`, `store` | what lies on a holder's disk, sealed |
| `messages` | what holders and doors say to each other |
| `custody` | a holder: counts, checks, takes over, signs |
| `desk` | a door: brings what somebody dialled to a holder that can be reached |
"""
