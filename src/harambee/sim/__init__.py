"""The second shell: the replicas that ship, with a seeded clock, network and disk, liars, and an auditor."""
