"""Benches that need more than the package does: an opponent to run beside, and pictures to draw.

Run from the project's root, with requirements/bench.txt installed: `python -m benches.beside`,
`python -m benches.pictures`.
"""
