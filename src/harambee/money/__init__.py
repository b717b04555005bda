"""Cents, tariffs and limits: what a payment costs, and nothing about who pays it.

Amounts are integer cents of a shilling everywhere. There is no float and no division here.
"""
