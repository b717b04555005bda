"""The audit of a journal: everything in it computed anew, and every signature checked."""
