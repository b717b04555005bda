"""Statements: an account's entries as rows that add up, and those rows as text, CSV and PDF.

Pure functions of what a super-agent tells; the same input gives the same bytes.
"""
