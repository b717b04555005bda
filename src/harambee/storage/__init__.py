"""What lies on a disk and is the same for a super-agent and an observer: checkpoints, and how one is made."""
